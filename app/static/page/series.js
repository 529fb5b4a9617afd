// A series of numbers, such as the sales of twelve weeks: its values as text, and <series-line> above them, whose points
// can be pulled up and down. The text is the way without a pointer.

import { html, nothing, render, svg } from "../lit-html/lit-html.js";
import { live } from "../lit-html/directives/live.js";
import { scale } from "./ticks.js";
import { inWords, number } from "./words.js";

const LONGEST = 400;
const HEIGHT = 84;
const LEFT = 58;
const RIGHT = 10;

export const isSeries = ({ kind, shape }) =>
  (kind === "number" || kind === "integer") && shape.length === 1 && shape[0] > 1 && shape[0] <= LONGEST;

// Numbers between commas, spaces or line ends, as a spreadsheet's column is pasted; the text itself where one is none.
export function seriesOf(value) {
  if (typeof value !== "string") return value;
  const words = value.split(/[\s,;[\]]+/).filter(Boolean);
  const numbers = words.map((word) => (word === "null" ? null : Number(word)));
  return numbers.some(Number.isNaN) ? value : numbers;
}

export function seriesField(form, feature, id, about, problem) {
  const value = form.values[feature.name];
  const values = seriesOf(value);
  const typed = (event) => form.set(feature.name, event.target.value);
  const pulled = (event) => form.set(feature.name, event.detail);
  const [wanted] = feature.shape;
  const count = Array.isArray(values) ? values.length : 0;
  return html`<series-line .feature=${feature} .values=${values} @pulled=${pulled}></series-line>
    <textarea
      id=${id}
      rows=${wanted > 12 ? 3 : 2}
      class="code"
      spellcheck="false"
      inputmode="decimal"
      aria-describedby=${about}
      aria-invalid=${problem ? "true" : nothing}
      .value=${live(typeof value === "string" ? value : value.join(", "))}
      @input=${typed}
    ></textarea>
    ${count === wanted ? nothing : html`<p class="hint">${count} of ${wanted} numbers</p>`}`;
}

class SeriesLine extends HTMLElement {
  connectedCallback() {
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.observer.disconnect();
  }

  set values(values) {
    this.given = Array.isArray(values) ? values : [];
    this.draw();
  }

  draw() {
    const width = this.clientWidth;
    if (width && this.given) render(this.picture(width), this);
  }

  // What the height stands for; it stays the same while a point is pulled.
  get range() {
    if (this.pulling) return this.pulling.range;
    const known = this.given.filter(Number.isFinite);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const room = (high - low || Math.abs(high) || 1) / 6;
    return { low: this.feature.minimum === 0 ? 0 : low - room, high: high + room };
  }

  picture(width) {
    const known = this.given.filter(Number.isFinite);
    if (!known.length) return html`<p class="quiet">No numbers to draw yet.</p>`;
    const { low, high } = this.range;
    this.across = scale([0, Math.max(1, this.given.length - 1)], [LEFT, width - RIGHT]);
    const up = scale([low, high], [HEIGHT - 8, 8]);
    const points = this.given.map((one, place) => [this.across(place), up(one)]);
    const drawn = points.filter((_, place) => Number.isFinite(this.given[place]));
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const ends = least === most ? [least] : [least, most];
    return html`<svg
      class="chart"
      width=${width}
      height=${HEIGHT}
      viewBox="0 0 ${width} ${HEIGHT}"
      role="img"
      aria-label="${inWords(this.feature.name)}: ${known.length} numbers from ${number(least)} to ${number(most)}, the last ${number(known.at(-1))}"
      @pointerdown=${(event) => this.start(event)}
      @pointermove=${(event) => this.go(event)}
      @pointerup=${() => this.end()}
      @pointercancel=${() => this.end()}
    >
      ${ends.map(
        (one) => svg`<line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${up(one)} y2=${up(one)} />
        <text x=${LEFT - 8} y=${up(one) + 4} text-anchor="end">${number(one)}</text>`,
      )}
      <path class="line first" d=${drawn.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")} />
      ${drawn.map(([x, y]) => svg`<circle class="first" cx=${x} cy=${y} r="3.5" />`)}
    </svg>`;
  }

  start(event) {
    const svg = event.currentTarget;
    svg.setPointerCapture(event.pointerId);
    const step = this.across(1) - this.across(0);
    const place = Math.round((event.clientX - svg.getBoundingClientRect().left - LEFT) / step);
    this.pulling = { range: this.range, place: Math.min(this.given.length - 1, Math.max(0, place)) };
    this.go(event);
  }

  go(event) {
    if (!this.pulling) return;
    const { range, place } = this.pulling;
    const y = event.clientY - event.currentTarget.getBoundingClientRect().top;
    const height = Math.min(HEIGHT, Math.max(0, y));
    const value = scale([HEIGHT - 8, 8], [range.low, range.high])(height);
    const fine = this.feature.kind === "integer" ? 1 : 10 ** Math.floor(Math.log10((range.high - range.low) / 50));
    const whole = Number((Math.round(value / fine) * fine).toPrecision(12));
    const bounded = Math.min(this.feature.maximum ?? Infinity, Math.max(this.feature.minimum ?? -Infinity, whole));
    this.dispatchEvent(new CustomEvent("pulled", { detail: this.given.with(place, bounded) }));
  }

  end() {
    this.pulling = undefined;
    this.draw();
  }
}

customElements.define("series-line", SeriesLine);
