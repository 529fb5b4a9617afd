// Why the model says what it says: what each input adds to a prediction, as bars, over a picture, in words, as tables.

import { html, nothing, svg } from "../lit-html/lit-html.js";
import { pictureOf } from "./files.js";
import { isDrawable } from "./picture.js";
import { inWords, json, named, number, percent, plural } from "./words.js";

const MOST_BARS = 10;
const MOST_CELLS = 8;
const MOST_WRITTEN = 24;
const SIGNED = 0.5; // cells with so much of the largest share have its sign written on them
const OF = "probability of ";

// features: of the manifest that the form is made from.
export function explanation(form) {
  const { explanation: told, features } = form;
  if (!told) return nothing;
  const shares = features.flatMap((one) => sharesOf(one, told));
  if (![told.value, told.base, ...shares].every(Number.isFinite))
    return html`<p class="explanation">The model gives no finite number here, so there is nothing to explain.</p>`;
  const say = wordsOf(told, form.manifest, shares);
  const singles = features.filter(isSingle);
  return html`<section class="explanation" aria-labelledby="why">
    <h3 id="why">${say.question}</h3>
    <p>
      The ${say.subject} is ${say.whole(told.value)}. ${nothingLeft(features)} it would be ${say.whole(told.base)}. This
      is what each part adds to that or takes away${say.unit ? `, in ${say.unit}` : ""}.
    </p>
    ${told.values === form.values ? nothing : html`<p class="quiet">The values have changed since.</p>`}
    ${singles.length ? numbers(singles, form, told, say) : nothing}
    ${features.filter((one) => !isSingle(one)).map((one) => larger(one, features.length > 1, told, say))}
  </section>`;
}

const sharesOf = (feature, { attributions }) => {
  const shares = [attributions[feature.name]].flat(Infinity);
  return isText(feature) ? shares.filter((_, place) => place % 2) : shares;
};

const isText = ({ kind, shape }) => kind === "text" && !shape.length;

const isSingle = ({ kind, shape }) => !shape.length && kind !== "text";

// How a number is written: probabilities as percent, what is added to them as points of percent, all else in its unit.
function wordsOf({ explains }, manifest, shares) {
  if (explains.startsWith(OF)) {
    const label = explains.slice(OF.length);
    const points = (share) => signed(share, (100 * Math.abs(share)).toFixed(1));
    const whole = (share) => together(percent(share));
    return { question: `Why ${label}?`, subject: explains, of: label, whole, added: points, unit: "points of percent" };
  }
  const { unit } = manifest.outputs.find((one) => one.name === explains);
  const digits = digitsOf(shares);
  return {
    question: `Why this ${inWords(explains)}?`,
    subject: inWords(explains),
    of: `a larger ${inWords(explains)}`,
    whole: (value) => together([number(value), unit].filter(Boolean).join(" ")),
    added: (share) => signed(share, Math.abs(share).toFixed(digits)),
    unit,
  };
}

const signed = (share, size) => (Number(size) === 0 ? "0" : `${share < 0 ? "−" : "+"}${size}`);

// On one line.
const together = (text) => text.replaceAll(" ", "\u00a0");

// After the point, so that the largest of the shares has three in all.
function digitsOf(shares) {
  const most = shares.reduce((found, one) => Math.max(found, Math.abs(one)), 0);
  return most > 0 ? Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(most)))) : 0;
}

// What the base is, as the start of a sentence.
function nothingLeft(features) {
  const kinds = new Set(features.map((one) => (isSingle(one) ? "single" : one.kind)));
  if (kinds.size > 1) return "With typical values and nothing to see, hear or read";
  return (
    { image: "For a black picture", audio: "For silence", text: "Without any words" }[[...kinds][0]] ??
    "With typical values"
  );
}

function numbers(features, form, told, say) {
  const rows = features.map(({ name, unit }) => ({
    name: named(name),
    value: [told.values[name], unit].filter((one) => one !== null && one !== "").join(" ") || "not known",
    typical: form.typical(features.find((one) => one.name === name)),
    share: told.attributions[name],
  }));
  return html`${bars(rows, say)} ${table("All values as a table", ["Value", "Typical"], rows, say)}`;
}

// The largest of the rows, and all others in one bar; all of them in their order where that is of time.
function bars(rows, say, inOrder = false) {
  const ordered = inOrder ? rows : [...rows].sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const shown = inOrder || rows.length <= MOST_BARS + 1 ? ordered : ordered.slice(0, MOST_BARS);
  const others = ordered.slice(shown.length);
  const rest = others.reduce((sum, one) => sum + one.share, 0);
  const sizes = [0, rest, ...shown.map((one) => one.share)];
  const range = [Math.min(...sizes), Math.max(...sizes)];
  const line = ({ name, value, share }, muted = false) =>
    html`<li class=${muted ? "muted" : ""}>
      <span>${name} ${value === undefined ? nothing : html`<span class="quiet">${value}</span>`}</span>
      ${diverging(share, range)}
      <span class="value">${say.added(share)}</span>
    </li>`;
  return html`<ul class="shares" aria-label="What each part adds">
      ${shown.map((one) => line(one))}
      ${others.length ? line({ name: `${plural(others.length, "other")} together`, share: rest }, true) : nothing}
    </ul>
    ${legend(say)}`;
}

const diverging = (share, [low, high]) => {
  const at = (value) => (100 * (value - low)) / (high - low || 1);
  const [from, to] = [Math.min(0, share), Math.max(0, share)].map(at);
  return html`<svg class="share" aria-hidden="true">
    <rect class=${mood(share)} x="${from}%" y="15%" width="${to - from}%" height="70%" />
    <line x1="${at(0)}%" x2="${at(0)}%" y1="0" y2="100%" />
  </svg>`;
};

const mood = (share) => (share < 0 ? "against" : "for");

const legend = (say) =>
  html`<p class="legend">
    <span class="for">+ for ${say.of}</span><span class="against">− against it</span>
  </p>`;

// What is more than one value. isNamed: whether the figure needs a heading.
function larger(feature, isNamed, told, say) {
  const shares = told.attributions[feature.name];
  return html`${isNamed ? html`<h4>${named(feature.name)}</h4>` : nothing} ${figure(feature, shares, told, say)}`;
}

function figure(feature, shares, told, say) {
  if (isText(feature)) return words(shares, say);
  if (feature.kind === "audio") return sound(feature, shares, say);
  if (feature.kind === "image" || isDrawable(feature)) return heatMap(feature, shares, told, say);
  const rows = elements(shares, told.values[feature.name]);
  return html`${bars(rows, say)}
  ${rows.length <= MOST_WRITTEN ? table("All values as a table", ["Value"], rows, say) : nothing}`;
}

function elements(shares, value, place = "") {
  if (!Array.isArray(shares)) return [{ name: place, value: Array.isArray(value) ? undefined : json(value), share: shares }];
  const given = typeof value === "string" ? JSON.parse(value) : value;
  return shares.flatMap((one, i) => elements(one, given?.[i], `${place}[${i}]`));
}

function sound({ shape: [samples], sample_rate }, shares, say) {
  const seconds = samples / sample_rate;
  const [whole, unit] = seconds < 2 ? [1000 * seconds, "ms"] : [seconds, "s"];
  const at = (slice) => Number(((slice * whole) / shares.length).toPrecision(3));
  const rows = shares.map((share, i) => ({ name: `${at(i)} to ${at(i + 1)} ${unit}`, share }));
  return html`${bars(rows, say, true)} ${table("All slices as a table", [], rows, say)}`;
}

function words(pairs, say) {
  const most = Math.max(...pairs.map(([, share]) => Math.abs(share)));
  const strength = (share) => Math.round((3 * Math.abs(share)) / (most || 1));
  const rows = pairs.map(([name, share]) => ({ name, share }));
  return html`<p class="words">
      ${pairs.map(([word, share]) => html`<span class="${mood(share)} strength-${strength(share)}">${word}</span> `)}
    </p>
    ${legend(say)} ${table("All words as a table", [], rows, say)}`;
}

// The picture as the model takes it, each cell in the colour of what it adds, as strong as that is much.
function heatMap(feature, shares, told, say) {
  const [height, width] =
    feature.kind === "image" ? [shares.length, shares[0].length] : feature.shape.filter((size) => size !== 1);
  const cells = cellsOf(shares.flat(Infinity), height, width);
  const most = Math.max(...cells.map((one) => Math.abs(one.share))) || 1;
  const shown = feature.kind === "image" ? pictureOf(told.values[feature.name], feature) : undefined;
  return html`<div class="heat">
      <svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${described(cells, say)}>
        ${shown ? svg`<image href=${shown} width=${width} height=${height} preserveAspectRatio="none" />` : nothing}
        ${cells.map(
          ({ x, y, wide, high, share }) =>
            svg`<rect class=${mood(share)} x=${x} y=${y} width=${wide} height=${high}
          fill-opacity=${(0.85 * Math.abs(share)) / most} />`,
        )}
        ${cells
          .filter((one) => Math.abs(one.share) >= SIGNED * most)
          .map(
            ({ x, y, wide, high, share }) =>
              svg`<text x=${x + wide / 2} y=${y + high / 2} font-size=${0.6 * Math.min(wide, high)}
          >${share < 0 ? "−" : "+"}</text>`,
          )}
      </svg>
      <div>
        ${legend(say)}
        <p class="quiet">${described(cells, say)}</p>
      </div>
    </div>
    ${grid(cells, say)}`;
}

// The cells that an image was taken apart into, the share of each put together from those of its pixels.
function cellsOf(shares, height, width) {
  const stretches = (size) => {
    const count = Math.min(size, MOST_CELLS);
    const start = (i) => Math.ceil((i * size) / count);
    return Array.from({ length: count }, (_, i) => [start(i), start(i + 1) - start(i)]);
  };
  return stretches(height).flatMap(([y, high], row) =>
    stretches(width).map(([x, wide], column) => ({
      row,
      column,
      x,
      y,
      wide,
      high,
      share: shares[y * width + x] * wide * high,
    })),
  );
}

function described(cells, say) {
  const place = ({ row, column, share }) => `row ${row + 1}, column ${column + 1} (${say.added(share)})`;
  const ordered = [...cells].sort((a, b) => b.share - a.share);
  const [most, least] = [ordered[0], ordered.at(-1)];
  const size = `${cells.at(-1).row + 1} by ${cells.at(-1).column + 1} cells`;
  const told = [
    most.share > 0 ? `most for ${say.of}: ${place(most)}` : "",
    least.share < 0 ? `most against it: ${place(least)}` : "",
  ].filter(Boolean);
  return `${size}; ${told.join("; ") || "none of them matters"}.`;
}

function grid(cells, say) {
  const rows = Map.groupBy(cells, (one) => one.row);
  const columns = [...rows.values()][0];
  return details(
    "All cells as a table",
    html`<table class="shares-table">
      <thead>
        <tr>
          <td></td>
          ${columns.map((one) => html`<th scope="col">${one.column + 1}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${[...rows].map(
          ([row, line]) =>
            html`<tr>
              <th scope="row">${row + 1}</th>
              ${line.map((one) => html`<td>${say.added(one.share)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>`,
  );
}

// rows: each with its name, what else is told of it under its heading in small letters, and its share.
function table(summary, headings, rows, say) {
  return details(
    summary,
    html`<table class="shares-table">
      <thead>
        <tr>
          ${["Part", ...headings, `Adds${say.unit ? `, ${say.unit}` : ""}`].map((one) => html`<th scope="col">${one}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              <th scope="row">${row.name}</th>
              ${headings.map((one) => html`<td>${row[one.toLowerCase()] ?? ""}</td>`)}
              <td>${say.added(row.share)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`,
  );
}

const details = (summary, content) =>
  html`<details>
    <summary>${summary}</summary>
    <div class="scrolls low" tabindex="0" role="group" aria-label=${summary}>${content}</div>
  </details>`;
