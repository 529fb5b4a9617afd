// Where values lie on an axis, and which of them are written beside it.

export function scale([from, to], [start, end]) {
  return (value) => (to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start));
}

export function linearTicks(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = niceStep((high - low) / 3 || Math.abs(high) || 1);
  const ticks = [];
  for (let tick = Math.floor(low / step) * step; tick < high + step; tick += step)
    ticks.push(Number(tick.toPrecision(12)));
  return ticks;
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((times) => times * power >= rough);
}

// 1, 2 and 5 of every power of ten, or the powers alone where that would be too many.
export function logTicks(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) powers.push(power);
  const fine = powers.flatMap((power) => [1, 2, 5].map((times) => Number(`${times}e${power}`)));
  const inside = fine.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length > 7 ? inside.filter((tick) => Number.isInteger(Math.log10(tick))) : inside;
}

export function epochTicks(epochs, width) {
  const [first, last] = [epochs[0], epochs.at(-1)];
  const step = Math.max(1, niceStep((last - first) / Math.max(2, Math.floor(width / 90)) || 1));
  const ticks = [];
  for (let tick = Math.ceil(first / step) * step; tick <= last; tick += step) ticks.push(tick);
  return ticks;
}
