// The model card: how good it is beside a simple method, how it was trained, and on what.

import { html, nothing } from "../lit-html/lit-html.js";
import { bar } from "./bar.js";
import "./chart.js";
import { keyHeaders, storedKey } from "./key.js";
import { capital, count, named, number, plural, sentence } from "./words.js";

export function quality({ evaluation, parity, data }) {
  return html`<section>
    <h2>How good it is</h2>
    <p class="verdict">${sentence(spelled(evaluation))}</p>
    <div class="scrolls" tabindex="0" role="group" aria-label="Held-out figures">
      <table class="metrics">
        <caption>
          On ${plural(data.rows.test, "row")} of the held-out test split, looked at once
        </caption>
        <thead>
          <tr>
            <th scope="col">Metric</th>
            <th scope="col">This network</th>
            <th scope="col">${capital(evaluation.baseline)}</th>
          </tr>
        </thead>
        <tbody>
          ${evaluation.metrics.map(metric)}
        </tbody>
      </table>
    </div>
    <p class="quiet">
      Served as trained: PyTorch and onnxruntime differ by ${number(parity.max_abs_difference)} at most over
      ${plural(parity.rows, "row")}, in batches of ${parity.batches.join(", ")}; ${number(parity.tolerance)} is allowed.
    </p>
  </section>`;
}

// The verdict begins with its metric's name.
const spelled = ({ verdict, metrics }) =>
  metrics.reduce(
    (text, { name }) => (text.startsWith(`${name} `) ? named(name) + text.slice(name.length) : text),
    verdict,
  );

function metric({ name, model, baseline, higher_is_better }) {
  const longest = Math.max(Math.abs(model), Math.abs(baseline)) || 1;
  const better = model === baseline ? 0 : model > baseline === higher_is_better ? 1 : -1;
  const cell = (value, wins) =>
    html`<td class=${wins ? "better" : ""}>
      <span class="value"
        >${number(Number(value.toPrecision(4)))}${wins ? html`<span class="hidden"> (better)</span>` : nothing}</span
      >
      ${bar(Math.abs(value) / longest)}
    </td>`;
  return html`<tr>
    <th scope="row">${named(name)}<span class="quiet">${higher_is_better ? "higher" : "lower"} is better</span></th>
    ${cell(model, better > 0)}${cell(baseline, better < 0)}
  </tr>`;
}

export function training({ recipe, seed, epochs, best_epoch, settings, versions, curves }, { name, version, report }) {
  return html`<section>
    <h2>How it was trained</h2>
    ${curves?.epochs.length ? html`<training-curves .curves=${curves} .best=${best_epoch}></training-curves>` : nothing}
    <p>
      Recipe <code>${recipe}</code>, seed ${seed}: ${count(epochs)} epochs, of which epoch ${count(best_epoch)} had the
      lowest loss on the validation rows and was kept.
      ${report ? whole(`/page/models/${name}/versions/${version}/report`, `${name}-${version}.html`) : nothing}
    </p>
    <details>
      <summary>Settings and package versions</summary>
      <div class="twice">${pairs(settings)}${pairs(versions)}</div>
    </details>
  </section>`;
}

// A link sends no key: where there is one, the report is fetched with it and saved.
function whole(path, file) {
  const save = async (event) => {
    if (!storedKey()) return;
    event.preventDefault();
    const answer = await fetch(path, { headers: keyHeaders() });
    const link = Object.assign(document.createElement("a"), { download: file });
    link.href = URL.createObjectURL(await answer.blob());
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return html`<a href=${path} target="_blank" @click=${save}>The whole report</a>`;
}

const pairs = (record) =>
  html`<dl class="pairs">
    ${Object.entries(record).map(
      ([key, value]) =>
        html`<div>
          <dt>${named(key)}</dt>
          <dd>${value ?? "none"}</dd>
        </div>`,
    )}
  </dl>`;

export function data({ data, preprocessing_outside_graph }) {
  return html`<section>
    <h2>What it learnt from</h2>
    <dl class="pairs">
      <div>
        <dt>Data</dt>
        <dd>${data.name}</dd>
      </div>
      <div>
        <dt>Source</dt>
        <dd>${data.source}</dd>
      </div>
      <div>
        <dt>Licence</dt>
        <dd>${data.licence}</dd>
      </div>
      <div>
        <dt>Rows</dt>
        <dd>
          ${count(data.rows.train)} to train, ${count(data.rows.validation)} to validate, ${count(data.rows.test)} to
          test
        </dd>
      </div>
      <div>
        <dt>Split</dt>
        <dd>${sentence(data.split)}</dd>
      </div>
      ${
        preprocessing_outside_graph.length
          ? html`<div>
              <dt>Done before the graph</dt>
              <dd>${preprocessing_outside_graph.join("; ")}</dd>
            </div>`
          : nothing
      }
      <div>
        <dt>SHA-256</dt>
        <dd><code>${data.sha256}</code></dd>
      </div>
    </dl>
  </section>`;
}
