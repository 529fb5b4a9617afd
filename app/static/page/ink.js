// What a drawing becomes: fitted as the model's example is, and written as the model takes it.

import { pictureType } from "./picture.js";

const LARGEST_SCALE = 4;

export function canvas(width, height, name = "") {
  return Object.assign(document.createElement("canvas"), { width, height, className: name });
}

// The strokes moved to the middle of the frame and scaled until they fill as much of it as the example does.
export function fitted(strokes, rows, columns, { size, thickness }) {
  const points = strokes.flat();
  const [left, right] = [Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x))];
  const [top, bottom] = [Math.min(...points.map(([, y]) => y)), Math.max(...points.map(([, y]) => y))];
  const wanted = Math.max(1, size * Math.max(rows, columns) - thickness);
  const scale = Math.min(LARGEST_SCALE, wanted / Math.max(right - left, bottom - top, 1e-6));
  const place = (value, middle, frame) => (value - middle) * scale + frame / 2;
  return strokes.map((one) =>
    one.map(([x, y]) => [place(x, (left + right) / 2, columns), place(y, (top + bottom) / 2, rows)]),
  );
}

// What the example tells of the images that the model knows.
// size: of the inked part, as a share of the frame.
// thickness: of its strokes, in pixels: twice their area by their outline.
// inverted: whether paper is the largest value. whole: whether values are whole numbers.
export function modelledOn(matrix, { example }) {
  const border = [...matrix[0], ...matrix.at(-1), ...matrix.flatMap((row) => [row[0], row.at(-1)])];
  const inverted = border.reduce((sum, share) => sum + share, 0) / border.length > 0.5;
  const ink = inverted ? matrix.map((row) => row.map((share) => 1 - share)) : matrix;
  const [rows, columns] = [ink.length, ink[0].length];
  const used = {
    rows: ink.filter((row) => Math.max(...row) > 0.1).length,
    columns: ink[0].filter((_, x) => Math.max(...ink.map((row) => row[x])) > 0.1).length,
  };
  const at = (y, x) => ink[y]?.[x] ?? 0;
  let [area, outline] = [0, 0];
  for (let y = 0; y <= rows; y += 1) {
    for (let x = 0; x <= columns; x += 1) {
      area += at(y, x);
      outline += Math.abs(at(y, x) - at(y - 1, x)) + Math.abs(at(y, x) - at(y, x - 1));
    }
  }
  const thickness = outline ? Math.min(columns / 4, Math.max(0.8, ((8 / Math.PI) * area) / outline)) : columns / 8;
  const size = Math.max(used.rows / rows, used.columns / columns) || 1;
  return {
    inverted,
    size,
    thickness,
    whole: JSON.stringify(example ?? "").match(/\.\d*[1-9]/) === null && !example?.b64,
  };
}

// The values that are sent, from 0 for paper and 1 for ink.
export function valuesOf(ink, feature, { inverted, whole }) {
  const [low, high] = bounds(feature);
  return ink.map((row) =>
    row.map((share) => {
      const value = low + (inverted ? 1 - share : share) * (high - low);
      return whole ? Math.round(value) : Number(value.toFixed(4));
    }),
  );
}

function bounds({ minimum, maximum, example }) {
  const values = example?.b64 ? [0, 255] : [example].flat(3);
  return [minimum ?? Math.min(0, ...values), maximum ?? Math.max(1, ...values)];
}

// [8, 8], [1, 8, 8] or [8, 8, 1], as the model takes it.
export function shaped(matrix, shape) {
  if (shape.length === 2) return matrix;
  return shape[0] === 1 ? [matrix] : matrix.map((row) => row.map((value) => [value]));
}

// rows x columns, 0 for the smallest value to 1 for the largest, of nested numbers or an encoded picture.
export async function matrixOf(value, feature, rows, columns) {
  if (typeof value?.b64 === "string") return pixels(value.b64, rows, columns);
  const [low, high] = bounds(feature);
  const flat = [value].flat(3).map((one) => (one - low) / (high - low || 1));
  return Array.from({ length: rows }, (_, y) => flat.slice(y * columns, (y + 1) * columns));
}

async function pixels(b64, rows, columns) {
  const image = new Image();
  image.src = `data:${pictureType(b64)};base64,${b64}`;
  await image.decode();
  const small = canvas(columns, rows);
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, columns, rows);
  const { data } = context.getImageData(0, 0, columns, rows);
  const grey = (at) => (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) / 255;
  return Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => grey(4 * (y * columns + x))));
}
