// What callers sent in the last hour, and what was answered, beside the training: what has moved, and how.

import { html, nothing, render } from "../lit-html/lit-html.js";
import { call } from "./api.js";
import { bar } from "./bar.js";
import { count, named, number, percent } from "./words.js";

const PAUSE_MS = 10_000;
const CHANGED = 0.1;
const MUCH = 0.25;

export const drift = (name, version) =>
  html`<model-drift .path=${`/page/models/${name}/versions/${version}/drift`}></model-drift>`;

class ModelDrift extends HTMLElement {
  set path(path) {
    if (this.from === path) return;
    this.from = path;
    this.look();
  }

  connectedCallback() {
    this.timer = setInterval(() => document.hidden || this.look(), PAUSE_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  async look() {
    const path = this.from;
    const told = await call(path).catch(() => undefined);
    if (told && path === this.from) render(section(told), this);
  }
}

customElements.define("model-drift", ModelDrift);

function section({ drift, fewest_rows: fewest }) {
  if (!drift.length) return nothing;
  const order = [...drift].sort((a, b) => (b.stability ?? -1) - (a.stability ?? -1));
  return html`<section aria-labelledby="drift">
    <h2 id="drift">Has it drifted?</h2>
    <p class="quiet">${sentence(order, fewest)}</p>
    <div class="scrolls" tabindex="0" role="group" aria-label="Drift">
      <table class="drift">
        <thead>
          <tr>
            <th scope="col">Feature or answer</th>
            <th scope="col">Stability index</th>
            <th scope="col">Rows</th>
            <th scope="col">Missing</th>
            <th scope="col">Beyond the training</th>
          </tr>
        </thead>
        <tbody>
          ${order.map(line)}
        </tbody>
      </table>
    </div>
    ${order.some((one) => one.stability >= CHANGED) ? distributions(order) : nothing}
  </section>`;
}

function sentence(order, fewest) {
  const [most] = order;
  const of = "The last hour of this worker, samples of it, beside the training.";
  if (most.stability === null) return `${of} An index is told from ${count(fewest)} rows on.`;
  const moved = order.filter((one) => one.stability >= CHANGED);
  if (!moved.length) return `${of} Nothing has moved: every index is below ${CHANGED}.`;
  return `${of} ${moved.map((one) => named(one.name)).join(", ")} ${moved.length === 1 ? "has" : "have"} moved.`;
}

const mood = ({ stability }) => (stability >= MUCH ? "large" : stability >= CHANGED ? "some" : "none");

const WORDS = { large: "much changed", some: "changed", none: "as trained" };

const line = (one) =>
  html`<tr class=${mood(one)}>
    <th scope="row">${named(one.name)}${one.kind === "answer" ? html`<span class="quiet">answered</span>` : nothing}</th>
    <td>
      ${one.stability === null ? "–" : html`${number(Number(one.stability.toPrecision(2)))}, ${WORDS[mood(one)]} ${bar(Math.min(1, one.stability))}`}
    </td>
    <td>${count(one.rows)}</td>
    <td>${percent(one.missing)}</td>
    <td>${one.kind === "answer" ? "" : percent(one.outside)}</td>
  </tr>`;

const distributions = (order) =>
  html`${order
    .filter((one) => one.stability >= CHANGED)
    .map(
      (one) =>
        html`<details>
          <summary>How ${named(one.name)} has moved</summary>
          <div class="scrolls" tabindex="0" role="group" aria-label="How ${named(one.name)} has moved">
            <table class="moved">
              <thead>
                <tr>
                  <th scope="col">Value</th>
                  <th scope="col">Training</th>
                  <th scope="col">Last hour</th>
                </tr>
              </thead>
              <tbody>
                ${one.bins.map(
                  (name, place) =>
                    html`<tr>
                      <th scope="row">${name}</th>
                      <td>${percent(one.expected[place])} ${bar(one.expected[place])}</td>
                      <td class="seen">${percent(one.seen[place])} ${bar(one.seen[place])}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>
        </details>`,
    )}`;
