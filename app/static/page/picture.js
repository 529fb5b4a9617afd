// What is known of a picture before it is shown: its type, and whether it can be drawn by hand.

// By the first bytes, in base64.
export const pictureType = (b64) =>
  b64.startsWith("/9j/") ? "image/jpeg" : b64.startsWith("UklGR") ? "image/webp" : "image/png";

// A grey image of two axes, apart from those of size one.
export function isDrawable({ kind, shape }) {
  const axes = shape.filter((size) => size !== 1);
  return (
    ["number", "integer", "image"].includes(kind) && axes.length === 2 && axes.every((size) => size >= 4 && size <= 64)
  );
}
