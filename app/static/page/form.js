// The form of one model version: made from its manifest, or from its signature where it has none.

import { html, nothing } from "../lit-html/lit-html.js";
import { answer } from "./answer.js";
import { Refused, call } from "./api.js";
import { copies } from "./copies.js";
import { explanation } from "./explanation.js";
import { fields, tensorField } from "./fields.js";
import { json } from "./words.js";

export class Form {
  constructor(metadata, page) {
    this.metadata = metadata;
    this.page = page;
    this.manifest = metadata.example ? metadata.manifest : null;
    this.features = this.manifest?.inputs.flatMap((one) => one.features) ?? [];
    this.keepsAnswering = true;
    this.fill("example");
  }

  // Values by feature, or texts by tensor. which: "example", or "typical" for the medians of the training data.
  fill(which) {
    this.values = this.manifest
      ? Object.fromEntries(
          this.features.map((one) => [one.name, (which === "typical" && this.typical(one)) || one.example]),
        )
      : Object.fromEntries(this.metadata.inputs.map((one) => [one.name, this.exampleText(one.name)]));
    this.changed();
  }

  // A median, as far as a feature has one; training rows themselves are never shown.
  typical({ name, kind, shape }) {
    const deciles = this.manifest.summaries[name]?.deciles;
    if (!deciles || shape.length || !["number", "integer"].includes(kind)) return undefined;
    return String(kind === "integer" ? Math.round(deciles[5]) : deciles[5]);
  }

  get hasTypical() {
    return this.features.some((one) => this.typical(one) !== undefined);
  }

  exampleText(tensor) {
    const found = this.metadata.example_v2?.inputs.find((one) => one.name === tensor);
    return found ? json(nested(found.data, found.shape)) : "";
  }

  set(name, value) {
    this.values = { ...this.values, [name]: value };
    this.changed();
  }

  // After the first answer the next ones follow the values, if that is wanted.
  changed() {
    this.page.update();
    if (this.answer && this.keepsAnswering) this.predict();
  }

  // Where to send what. Throws Refused where a text is not JSON.
  request() {
    const { name, version } = this.metadata;
    if (!this.manifest)
      return { path: `/v2/models/${name}/versions/${version}/infer`, body: { inputs: this.tensors() } };
    const wanted = this.manifest.outputs.some((one) => one.kind === "probabilities")
      ? { parameters: { probabilities: true } }
      : {};
    const instance = Object.fromEntries(this.features.map((one) => [one.name, asSent(one, this.values[one.name])]));
    return { path: `/v1/models/${name}/versions/${version}:predict`, body: { instances: [instance], ...wanted } };
  }

  tensors() {
    const given = this.metadata.inputs.filter((one) => !one.parameters?.optional || this.values[one.name].trim());
    return given.map(({ name, datatype }) => {
      let data;
      try {
        data = JSON.parse(this.values[name]);
      } catch (error) {
        throw new Refused(400, `${name}: this is not JSON (${error.message})`);
      }
      return { name, datatype, shape: shapeOf(data), data };
    });
  }

  async predict() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.page.update();
    await this.unlessRefused(async () => {
      const { path, body } = this.request();
      const started = performance.now();
      const content = await call(path, JSON.stringify(body));
      this.answer = { content, seconds: (performance.now() - started) / 1000 };
    });
    this.busy = false;
    this.page.update();
    if (this.again) {
      this.again = false;
      this.predict();
    }
  }

  // What each value adds to the prediction. It is of the values that were sent, whatever they become.
  async explain() {
    if (this.explaining) return;
    this.explaining = true;
    this.page.update();
    await this.unlessRefused(async () => {
      const { values } = this;
      const { path, body } = this.request();
      const sent = JSON.stringify({ instances: body.instances });
      const { explanations } = await call(path.replace(/:predict$/, ":explain"), sent);
      this.explanation = { ...explanations[0], values };
    });
    this.explaining = false;
    this.page.update();
  }

  async unlessRefused(asked) {
    try {
      await asked();
      this.error = undefined;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.page.refused(error);
      this.error = error;
    }
  }

  // "instances[0].length: -1, wanted 0 to 50 mm" belongs beside the field `length`.
  problem(name) {
    const found = this.error?.message
      .split("; ")
      .find((part) => part.match(/^(?:instances\[\d*\]\.)?([A-Za-z_]\w*)[\w[\]]*: /)?.[1] === name);
    return found?.replace(/^[^:]*: /, "").replace(/^null,/, "empty,");
  }
}

function asSent({ kind, shape }, value) {
  if (typeof value !== "string" || kind === "category" || kind === "text") return value;
  const text = value.trim();
  if (text === "") return null;
  if (!shape.length) return Number.isFinite(Number(text)) ? Number(text) : text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const shapeOf = (data) => (Array.isArray(data) ? [data.length, ...(data.length ? shapeOf(data[0]) : [])] : []);

function nested(flat, shape) {
  if (!shape.length) return flat[0];
  const [size, ...rest] = shape;
  if (!rest.length) return flat;
  const step = flat.length / size;
  return Array.from({ length: size }, (_, i) => nested(flat.slice(i * step, (i + 1) * step), rest));
}

export function tryIt(form, page) {
  const submitted = (event) => {
    event.preventDefault();
    form.predict();
  };
  const keep = (event) => {
    form.keepsAnswering = event.target.checked;
    form.changed();
  };
  return html`<section class="try" aria-labelledby="try">
    <h2 id="try">Try it</h2>
    <div class="columns">
      <form novalidate @submit=${submitted}>
        <div class="together">
          <button type="button" @click=${() => form.fill("example")}>Use the example</button>
          ${form.hasTypical ? html`<button type="button" @click=${() => form.fill("typical")}>Typical values</button>` : nothing}
        </div>
        ${form.manifest ? fields(form) : form.metadata.inputs.map((one) => tensorField(form, one))}
        <div class="together">
          <button class="primary" aria-busy=${form.busy ? "true" : "false"}>Predict</button>
          ${
            form.manifest && form.metadata.explainable
              ? html`<button type="button" aria-busy=${form.explaining ? "true" : "false"} @click=${() => form.explain()}>
                  Explain
                </button>`
              : nothing
          }
          <label class="tick"
            ><input type="checkbox" .checked=${form.keepsAnswering} @change=${keep} /> Keep answering as I change
            it</label
          >
        </div>
        ${form.error ? refusal(form) : nothing}
      </form>
      <div class="result">${answer(form)}</div>
    </div>
    ${explanation(form)} ${copies(form, page)}
  </section>`;
}

const refusal = ({ error }) =>
  html`<div class="error" role="alert">
    <strong>${error.status ? "The service refused this" : "No answer"}</strong>
    <ul>
      ${error.message.split("; ").map((part) => html`<li>${part}</li>`)}
    </ul>
  </div>`;
