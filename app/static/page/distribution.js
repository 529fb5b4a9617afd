// A feature's distribution over the training rows, from its deciles: where a slider runs, its shape, a value's place.

const BINS = 48;
const ACCEPTED_AT_MOST = 3;
const STEPS = 200;

// { low, high, step }: all that is accepted, unless the training rows fill a small part of it; none without bounds.
export function sliderRange({ kind, minimum, maximum }, deciles) {
  const bounded = minimum !== null && maximum !== null;
  if (!deciles && !bounded) return undefined;
  const trained = deciles ? deciles.at(-1) - deciles[0] : Infinity;
  const whole = bounded && maximum - minimum <= ACCEPTED_AT_MOST * trained;
  const [low, high] = whole ? [minimum, maximum] : [deciles[0], deciles.at(-1)];
  if (high <= low) return undefined;
  return { low, high, step: kind === "integer" ? 1 : 10 ** Math.floor(Math.log10((high - low) / STEPS)) };
}

// 0 to 1: the share of training rows that lie below the value.
export function shareBelow(value, deciles) {
  if (value <= deciles[0]) return 0;
  if (value >= deciles.at(-1)) return 1;
  const next = deciles.findIndex((decile) => decile > value);
  const low = deciles[next - 1];
  return (next - 1 + (value - low) / (deciles[next] - low)) / 10;
}

// An area in a box of 48 x 10, by the rows that lie in each of 48 equal parts of the range.
export function densityPath(deciles, { low, high }) {
  const width = (high - low) / BINS;
  const bins = Array.from({ length: BINS }, (_, bin) => mass(deciles, low + bin * width, low + (bin + 1) * width));
  const smooth = bins.map((one, bin) => ((bins[bin - 1] ?? one) + 2 * one + (bins[bin + 1] ?? one)) / 4);
  const most = Math.max(...smooth) || 1;
  const points = smooth.map((one, bin) => `L${bin + 0.5} ${(10 - 9.5 * Math.sqrt(one / most)).toFixed(2)}`);
  return `M0 10${points.join("")}L48 10Z`;
}

// The share of rows within [from, to]; deciles that coincide stand for rows of one value.
function mass(deciles, from, to) {
  let share = 0;
  for (let i = 1; i < deciles.length; i += 1) {
    const [low, high] = [deciles[i - 1], deciles[i]];
    if (high === low) share += low >= from && low <= to ? 0.1 : 0;
    else share += (0.1 * Math.max(0, Math.min(high, to) - Math.max(low, from))) / (high - low);
  }
  return share;
}
