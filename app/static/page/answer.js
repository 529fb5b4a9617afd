// What the model said, as a person reads it.

import { html, nothing } from "../lit-html/lit-html.js";
import { bar } from "./bar.js";
import { quantiles } from "./quantiles.js";
import { capital, duration, json, named, number, percent } from "./words.js";

const MOST_BARS = 12;

export function answer(form) {
  const said = form.answer;
  return html`<div class="answer ${form.error ? "old" : ""}" role="status" aria-label="Answer">
    ${said ? content(form, said) : waiting(form)}
  </div>`;
}

function content({ manifest, error }, { content, seconds }) {
  return html`${manifest ? prediction(content.predictions[0], manifest) : tensors(content.outputs)}
    <p class="quiet">${error ? "The answer before." : `Answered in ${duration(seconds)}, there and back.`}</p>`;
}

const waiting = (form) =>
  html`<p class="empty">${form.busy ? "Waiting for the answer …" : "The answer appears here."}</p>`;

function prediction(fields, manifest) {
  const told = new Set(["label", "probability", "probabilities"]);
  const levels = manifest.outputs.filter((one) => one.level != null && typeof fields[one.name] === "number");
  return html`${manifest.outputs.map((output) => {
    if (output.kind === "probabilities" && "label" in fields) return classes(output, fields);
    if (output.kind === "ranking" && Array.isArray(fields[output.name])) {
      told.add(output.name);
      return ranking(output, fields[output.name]);
    }
    if (output.kind !== "value" || !["number", "string"].includes(typeof fields[output.name])) return nothing;
    told.add(output.name);
    if (levels.length > 1 && levels.includes(output)) return output === levels[0] ? quantiles(levels, fields) : nothing;
    return value(output, fields[output.name]);
  })}
  ${rest(Object.entries(fields).filter(([name]) => !told.has(name)))}`;
}

function classes(output, { label, probability, probabilities }) {
  return html`
    <p class="name">${named(output.name)}</p>
    <p class="said">${label}<span class="hidden">, </span><span class="share">${percent(probability)}</span></p>
    ${output.description ? html`<p class="quiet">${output.description}</p>` : nothing}
    ${output.threshold !== null ? html`<p class="quiet">${from(output)}</p>` : nothing}
    ${probabilities ? shares(label, probabilities) : nothing}
  `;
}

// What is answered from less or more than even odds looks wrong beside its probability, unless it is said.
const from = ({ labels: [, second], threshold }) => `“${second}” is answered from ${percent(threshold)} on.`;

function shares(label, probabilities) {
  const all = Object.entries(probabilities);
  const ordered = all.length > MOST_BARS ? all.sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS) : all;
  return html`
    <ul class="bars" aria-label="Probabilities">
      ${ordered.map(
        ([name, share]) =>
          html`<li class=${name === label ? "best" : ""}>
            <span>${name}</span>
            ${bar(share)}
            <span class="value">${percent(share)}</span>
          </li>`,
      )}
    </ul>
    ${all.length > MOST_BARS ? html`<p class="quiet">The ${MOST_BARS} largest of ${all.length}.</p>` : nothing}
  `;
}

const value = ({ name, description, unit }, found) => html`
  <p class="name">${named(name)}</p>
  <p class="said">${number(found)} ${unit ? html`<span class="share">${unit}</span>` : nothing}</p>
  ${description ? html`<p class="quiet">${capital(description)}</p>` : nothing}
`;

const ranking = ({ name, description }, found) => html`
  <p class="name">${named(name)}</p>
  ${description ? html`<p class="quiet">${capital(description)}, the best first</p>` : nothing}
  <ol class="ranking">
    ${found.map((one) => html`<li>${one}</li>`)}
  </ol>
`;

const rest = (fields) =>
  fields.length
    ? html`<dl class="pairs">
        ${fields.map(
          ([name, found]) =>
            html`<div>
              <dt>${named(name)}</dt>
              <dd>${typeof found === "object" ? json(found) : found}</dd>
            </div>`,
        )}
      </dl>`
    : nothing;

const tensors = (outputs) =>
  outputs.map(
    ({ name, datatype, shape, data }) => html`
      <p class="name">${name} <span class="quiet">${datatype} [${shape.join(", ")}]</span></p>
      ${data.length === 1 ? html`<p class="said">${number(data[0])}</p>` : table(name, data, shape)}
    `,
  );

const MOST_ROWS = 50;
const MOST_COLUMNS = 12;

// Rows by the first axis, as many as can be read; a vector is one row.
function table(name, data, shape) {
  const rows = shape.length > 1 ? shape[0] : 1;
  const columns = rows ? data.length / rows : 0;
  const shown = Array.from({ length: Math.min(rows, MOST_ROWS) }, (_, i) =>
    data.slice(i * columns, i * columns + Math.min(columns, MOST_COLUMNS)),
  );
  return html`<div class="scrolls" tabindex="0" role="group" aria-label="Values of ${name}">
    <table class="values">
      <tbody>
        ${shown.map(
          (row) =>
            html`<tr>
              ${row.map((one) => html`<td>${number(one)}</td>`)} ${columns > MOST_COLUMNS ? html`<td>…</td>` : nothing}
            </tr>`,
        )}
      </tbody>
    </table>
    ${rows > MOST_ROWS ? html`<p class="quiet">The first ${MOST_ROWS} of ${rows} rows.</p>` : nothing}
  </div>`;
}
