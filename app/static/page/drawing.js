// <drawing-pad>: draw a small grey image, large. What is drawn is moved and scaled as the model's example is, and averaged
// over each pixel, so that it looks to the model as its training images did. Emits "drawn" with the image's values.

import { canvas, fitted, matrixOf, modelledOn, shaped, valuesOf } from "./ink.js";

const FINE = 8;

// The pad's width, or a little more: a whole number for each of the model's pixels, so that no seams show between them.
const PAD = 320;

class DrawingPad extends HTMLElement {
  constructor() {
    super();
    this.strokes = [];
  }

  set feature(feature) {
    if (this.given === feature) return;
    this.given = feature;
    [this.rows, this.columns] = feature.shape.filter((size) => size !== 1);
    this.build();
    this.modelled = matrixOf(feature.example, feature, this.rows, this.columns).then((matrix) =>
      modelledOn(matrix, feature),
    );
  }

  // A value that was not drawn here, such as the example, takes the place of what was.
  set value(value) {
    if (value === this.current) return;
    this.current = value;
    this.strokes = [];
    this.show();
  }

  build() {
    const pixel = Math.ceil(PAD / this.columns);
    this.pad = canvas(pixel * this.columns, pixel * this.rows, "pad");
    this.pad.id = this.dataset.id;
    this.pad.setAttribute("role", "img");
    this.pad.setAttribute("aria-label", "Drawing area; the buttons below need no pointer");
    this.seen = canvas(this.columns, this.rows, "seen");
    this.seen.setAttribute("role", "img");
    const figure = element("figure", this.seen, element("figcaption", "As the model sees it"));
    const buttons = element(
      "div",
      this.button("Clear", () => this.clear()),
      this.button("Undo", () => this.undo()),
    );
    buttons.className = "together";
    const note = element("p", "Draw here with a mouse, a pen or a finger.");
    note.className = "quiet";
    this.replaceChildren(this.pad, element("div", figure, note, buttons));
    for (const [name, listener] of Object.entries({
      pointerdown: this.start,
      pointermove: this.go,
      pointerup: this.end,
      pointercancel: this.end,
    })) {
      this.pad.addEventListener(name, (event) => listener.call(this, event));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  button(name, act) {
    const button = element("button", name);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  start(event) {
    this.pad.setPointerCapture(event.pointerId);
    this.strokes.push([this.point(event)]);
    this.drawing = true;
    this.draw();
  }

  go(event) {
    if (!this.drawing) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) this.strokes.at(-1).push(this.point(one));
    this.draw();
  }

  end() {
    if (!this.drawing) return;
    this.drawing = false;
    this.emit();
  }

  clear() {
    this.strokes = [];
    this.emit();
  }

  undo() {
    this.strokes.pop();
    this.emit();
  }

  // In pixels of the model's image.
  point(event) {
    const box = this.pad.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.columns,
      ((event.clientY - box.top) / box.height) * this.rows,
    ];
  }

  emit() {
    this.shown = undefined;
    this.current = shaped(valuesOf(this.ink(), this.given, this.model), this.given.shape);
    this.draw();
    this.dispatchEvent(new CustomEvent("drawn", { detail: this.current, bubbles: true }));
  }

  async show() {
    const value = this.current;
    this.model = await this.modelled;
    const matrix = await matrixOf(value, this.given, this.rows, this.columns);
    if (this.current !== value) return;
    this.shown = this.model.inverted ? matrix.map((row) => row.map((share) => 1 - share)) : matrix;
    this.draw();
  }

  draw() {
    if (!this.model) return;
    const ink = getComputedStyle(this).getPropertyValue("color");
    const context = this.pad.getContext("2d");
    context.clearRect(0, 0, this.pad.width, this.pad.height);
    const matrix = this.strokes.length ? this.ink() : this.shown;
    if (this.strokes.length) stroke(context, this.strokes, this.pad.width / this.columns, this.model.thickness, ink);
    else if (matrix) paint(context, matrix, ink, this.pad.width / this.columns);
    const small = this.seen.getContext("2d");
    small.clearRect(0, 0, this.columns, this.rows);
    if (matrix) paint(small, matrix, ink, 1);
    this.seen.setAttribute("aria-label", `${this.columns} by ${this.rows} pixels, ${inked(matrix)} of them inked`);
  }

  // rows x columns of 0 for paper to 1 for ink: the strokes, fitted to the frame as the example is and averaged.
  ink() {
    const fine = canvas(this.columns * FINE, this.rows * FINE);
    const context = fine.getContext("2d", { willReadFrequently: true });
    stroke(context, fitted(this.strokes, this.rows, this.columns, this.model), FINE, this.model.thickness, "#000");
    const { data } = context.getImageData(0, 0, fine.width, fine.height);
    const matrix = Array.from({ length: this.rows }, () => Array(this.columns).fill(0));
    for (let y = 0; y < fine.height; y += 1) {
      for (let x = 0; x < fine.width; x += 1) {
        matrix[Math.floor(y / FINE)][Math.floor(x / FINE)] += data[4 * (y * fine.width + x) + 3] / (255 * FINE * FINE);
      }
    }
    return matrix;
  }
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

// pixel: the size of one pixel of the model's image on the context.
function stroke(context, strokes, pixel, thickness, colour) {
  Object.assign(context, { lineCap: "round", lineJoin: "round", strokeStyle: colour, lineWidth: thickness * pixel });
  for (const [first, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(first[0] * pixel, first[1] * pixel);
    for (const [x, y] of rest.length ? rest : [first]) context.lineTo(x * pixel, y * pixel);
    context.stroke();
  }
}

function paint(context, matrix, colour, pixel) {
  context.fillStyle = colour;
  matrix.forEach((row, y) =>
    row.forEach((share, x) => {
      context.globalAlpha = Math.min(1, Math.max(0, share));
      context.fillRect(x * pixel, y * pixel, pixel, pixel);
    }),
  );
  context.globalAlpha = 1;
}

const inked = (matrix) => matrix?.flat().filter((share) => share > 0.1).length ?? 0;

customElements.define("drawing-pad", DrawingPad);
