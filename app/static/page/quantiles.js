// Values that are quantiles of one thing: the middle one in large, all of them as a band, and each in words.

import { html, svg } from "../lit-html/lit-html.js";
import { capital, inWords, named, number, percent } from "./words.js";

const INNER = 4;

// More digits than a forecast has.
const shown = (value) => number(Number(value.toPrecision(4)));

// outputs: those with a level; fields: the prediction's values by name.
export function quantiles(outputs, fields) {
  const found = outputs
    .map((output) => ({ ...output, value: fields[output.name] }))
    .sort((a, b) => a.level - b.level);
  const middle = found.reduce((best, one) => (Math.abs(one.level - 0.5) < Math.abs(best.level - 0.5) ? one : best));
  const unit = middle.unit ? ` ${middle.unit}` : "";
  const [first, last] = [found[0], found.at(-1)];
  return html`
    <p class="name">${named(middle.name)}</p>
    <p class="said">${shown(middle.value)}${middle.unit ? html`<span class="share">${middle.unit}</span>` : ""}</p>
    ${middle.description ? html`<p class="quiet">${capital(middle.description)}</p>` : ""}
    ${band(found, middle)}
    <dl class="quantiles">
      ${found.map(
        (one) =>
          html`<div class=${one === middle ? "best" : ""}>
            <dt>${named(one.name)}</dt>
            <dd>${shown(one.value)}</dd>
            <dd class="quiet">${percent(one.level)} lie below</dd>
          </div>`,
      )}
    </dl>
    <p class="quiet">
      ${percent(last.level - first.level)} of cases are foreseen between ${shown(first.value)} and
      ${shown(last.value)}${unit}.
    </p>
  `;
}

// Where zero is near, the band is drawn from it; else with some room on both sides. In shares of the width.
function band(found, middle) {
  const [low, high] = [found[0].value, found.at(-1).value];
  const room = (high - low || Math.abs(high) || 1) / 4;
  const from = low >= 0 && low < 3 * room * 4 ? 0 : low - room;
  const at = (value) => (100 * (value - from)) / (high + room - from);
  const strip = (one, other, kind) =>
    svg`<rect class=${kind} x="${at(one.value)}%" width="${at(other.value) - at(one.value)}%" y="6" height="20" />`;
  const label = found.map(({ name, value }) => `${inWords(name)} ${shown(value)}`).join(", ");
  return html`<svg class="band" role="img" aria-label=${label}>
      <rect class="track" width="100%" y="14" height="4" />
      ${strip(found[0], found.at(-1), "outer")}
      ${found.length >= INNER ? strip(found[1], found.at(-2), "inner") : ""}
      <line class="middle" x1="${at(middle.value)}%" x2="${at(middle.value)}%" y1="2" y2="30" />
    </svg>
    <p class="ends quiet" aria-hidden="true"><span>${shown(from)}</span><span>${shown(high + room)}</span></p>`;
}
