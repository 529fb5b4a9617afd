// One field for each feature, by its kind: sliders, choices, dates, texts, pictures, sounds, series.

import { html, nothing } from "../lit-html/lit-html.js";
import { live } from "../lit-html/directives/live.js";
import { densityPath, shareBelow, sliderRange } from "./distribution.js";
import "./drawing.js";
import { audioField, imageField } from "./files.js";
import { isPicked, picks } from "./picks.js";
import { isDrawable } from "./picture.js";
import { isSeries, seriesField } from "./series.js";
import { inWords, json, named, number, plural } from "./words.js";

const WORTH_GROUPS = 13;
const SMALLEST_GROUP = 2;

export function fields(form) {
  const groups = form.features.length >= WORTH_GROUPS ? grouped(form.features) : [];
  if (groups.length < 2) return html`<div class="fields">${form.features.map((one) => field(form, one))}</div>`;
  return groups.map(([name, features], place) => {
    const problems = features.filter((one) => form.problem(one.name)).length;
    return html`<details class="group" ?open=${place === 0 || problems > 0}>
      <summary>
        ${name}<span class="quiet">${plural(features.length, "value")}</span>
        ${problems ? html`<span class="state bad">${plural(problems, "problem")}</span>` : nothing}
      </summary>
      <div class="fields dense">${features.map((one) => field(form, one))}</div>
    </details>`;
  });
}

// Features that share the first or the last word of their names, by the larger group; the rest in one of their own.
function grouped(features) {
  const words = new Map();
  for (const { name } of features) {
    const parts = name.split("_");
    if (parts.length > 1)
      for (const word of new Set([parts[0], parts.at(-1)])) words.set(word, (words.get(word) ?? 0) + 1);
  }
  const groups = new Map();
  const bySize = [...words].filter(([, size]) => size >= SMALLEST_GROUP).sort((a, b) => b[1] - a[1]);
  for (const feature of features) {
    const parts = feature.name.split("_");
    const word = bySize.find(([one]) => parts[0] === one || parts.at(-1) === one)?.[0];
    const name = word ? named(word) : "Other";
    groups.set(name, [...(groups.get(name) ?? []), feature]);
  }
  return [...groups];
}

export function field(form, feature) {
  const id = `field-${feature.name}`;
  const problem = form.problem(feature.name);
  const unknown = form.values[feature.name] === null;
  const control = unknown ? html`<p class="quiet">Sent as not known.</p>` : controlFor(form, feature, id, problem);
  return html`<div class="field ${problem ? "wrong" : ""}">
    <div class="name">
      <label for=${id}>${named(feature.name)}</label>
      ${feature.unit ? html`<span class="unit">${feature.unit}</span>` : nothing}
      ${canBeMissing(feature) ? unknownTick(form, feature, unknown) : nothing}
    </div>
    ${control} ${hint(form, feature, `${id}-hint`)}
    ${problem ? html`<p class="problem" id="${id}-problem">${problem}</p>` : nothing}
  </div>`;
}

const canBeMissing = ({ missing, shape }) => !shape.length && (missing === "nan" || missing === "fill");

function unknownTick(form, { name, example }, unknown) {
  const ticked = (event) => form.set(name, event.target.checked ? null : (example ?? ""));
  return html`<label class="tick"
    ><input type="checkbox" .checked=${live(unknown)} @change=${ticked} /> not known</label
  >`;
}

function hint(form, feature, id) {
  const parts = [feature.description.toLowerCase() === inWords(feature.name).toLowerCase() ? "" : feature.description];
  const deciles = form.manifest.summaries[feature.name]?.deciles;
  const value = form.values[feature.name];
  if (isNumber(feature) && deciles && value !== null && value !== "") parts.push(standing(Number(value), deciles));
  const told = parts.filter(Boolean);
  return told.length ? html`<p class="hint" id=${id}>${told.map((part) => html`<span>${part}</span>`)}</p>` : nothing;
}

// Where a value stands among those that the model has learnt from.
function standing(value, deciles) {
  if (Number.isNaN(value) || new Set(deciles).size < 4) return "";
  if (value < deciles[0]) return "below all training rows";
  if (value > deciles.at(-1)) return "above all training rows";
  const hundredths = Math.round(100 * shareBelow(value, deciles));
  if (hundredths === 0 || hundredths === 100) return `at the ${hundredths ? "high" : "low"} end of the training rows`;
  return `above ${hundredths} % of training rows`;
}

const isNumber = ({ kind, shape }) => !shape.length && (kind === "number" || kind === "integer");

function controlFor(form, feature, id, problem) {
  const about = `${id}-hint${problem ? ` ${id}-problem` : ""}`;
  if (isPicked(feature)) return picks(form, feature, id, about, problem);
  if (feature.kind === "category" && !feature.shape.length) return choice(form, feature, id, about, problem);
  if (feature.kind === "audio") return audioField(form, feature, id, about);
  if (isDrawable(feature)) return drawn(form, feature, id, about);
  if (feature.kind === "image") return imageField(form, feature, id, about);
  if (isSeries(feature)) return seriesField(form, feature, id, about, problem);
  if (feature.kind === "date" && !feature.shape.length) return day(form, feature, id, about, problem);
  if (isNumber(feature)) return slider(form, feature, id, about, problem);
  return text(form, feature, id, about, problem);
}

function slider(form, feature, id, about, problem) {
  const value = form.values[feature.name];
  const deciles = form.manifest.summaries[feature.name]?.deciles;
  const range = sliderRange(feature, deciles);
  const typed = (event) => form.set(feature.name, event.target.value);
  const slid = (event) => form.set(feature.name, String(Number(Number(event.target.value).toPrecision(6))));
  return html`<div class="number">
    ${
      range
        ? html`<div class="slider">
            ${deciles ? density(deciles, range) : nothing}
            <input
              type="range"
              aria-label="${named(feature.name)}, slider"
              min=${range.low}
              max=${range.high}
              step=${range.step}
              .value=${live(String(value))}
              @input=${slid}
            />
          </div>`
        : nothing
    }
    <input
      type="number"
      id=${id}
      step=${feature.kind === "integer" ? 1 : "any"}
      min=${feature.minimum ?? nothing}
      max=${feature.maximum ?? nothing}
      aria-describedby=${about}
      aria-invalid=${problem ? "true" : nothing}
      .value=${live(String(value))}
      @input=${typed}
    />
  </div>`;
}

const density = (deciles, range) =>
  html`<svg viewBox="0 0 48 10" preserveAspectRatio="none" aria-hidden="true">
    <path d=${densityPath(deciles, range)} />
  </svg>`;

function choice(form, feature, id, about, problem) {
  const chosen = (event) => form.set(feature.name, event.target.value);
  return html`<select id=${id} aria-describedby=${about} aria-invalid=${problem ? "true" : nothing} @change=${chosen}>
    ${feature.categories.map((one) => html`<option .selected=${one === form.values[feature.name]}>${one}</option>`)}
  </select>`;
}

const DAY_MS = 86_400_000;

// Days since 1970-01-01 as a date field takes them; nothing where there is no bound.
const dateOf = (days) => (days === null ? nothing : new Date(days * DAY_MS).toISOString().slice(0, 10));

function day(form, feature, id, about, problem) {
  const typed = (event) => form.set(feature.name, event.target.value);
  return html`<input
    type="date"
    id=${id}
    min=${dateOf(feature.minimum)}
    max=${dateOf(feature.maximum)}
    aria-describedby=${about}
    aria-invalid=${problem ? "true" : nothing}
    .value=${live(form.values[feature.name] ?? "")}
    @input=${typed}
  />`;
}

function text(form, feature, id, about, problem) {
  const value = form.values[feature.name];
  const typed = (event) => form.set(feature.name, event.target.value);
  const shown = typeof value === "string" ? value : json(value);
  const isText = feature.kind === "text" && !feature.shape.length;
  return html`<textarea
    id=${id}
    rows=${isText ? 8 : 6}
    class=${isText ? "" : "code"}
    aria-describedby=${about}
    aria-invalid=${problem ? "true" : nothing}
    .value=${live(shown)}
    @input=${typed}
  ></textarea>`;
}

function drawn(form, feature, id, about) {
  const changed = (event) => form.set(feature.name, event.detail);
  return html`<drawing-pad
      data-id=${id}
      data-about=${about}
      .feature=${feature}
      .value=${form.values[feature.name]}
      @drawn=${changed}
    ></drawing-pad>
    ${feature.kind === "image" ? imageField(form, feature, `${id}-file`, about) : nothing}`;
}

// A tensor of a model without a manifest, as JSON.
export function tensorField(form, { name, datatype, shape, parameters }) {
  const id = `field-${name}`;
  const problem = form.problem(name);
  const typed = (event) => form.set(name, event.target.value);
  const axes = shape.map((size) => (size < 0 ? "any" : number(size))).join(" × ") || "one value";
  return html`<div class="field ${problem ? "wrong" : ""}">
    <div class="name"><label for=${id}>${name}</label><span class="unit">${datatype}, ${axes}</span></div>
    <textarea
      id=${id}
      rows="6"
      class="code"
      spellcheck="false"
      aria-describedby="${id}-hint ${problem ? `${id}-problem` : ""}"
      aria-invalid=${problem ? "true" : nothing}
      .value=${live(form.values[name])}
      @input=${typed}
    ></textarea>
    <p class="hint" id="${id}-hint">
      Nested lists of JSON; their shape is sent with
      them.${parameters?.optional ? " Empty leaves the graph its own value." : ""}
    </p>
    ${problem ? html`<p class="problem" id="${id}-problem">${problem}</p>` : nothing}
  </div>`;
}
