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

function section({ drift, compares, fewest_rows: fewest }) {
  const order = [...drift].sort((a, b) => (b.stability ?? -1) - (a.stability ?? -1));
  const came = order.some((one) => one.rows || one.refused);
  return html`<section aria-labelledby="drift">
    <h2 id="drift">Has it drifted?</h2>
    <p class="quiet">${came ? sentence(order, fewest) : nothingCame(compares)} ${withoutAnswers(compares)}</p>
    ${came ? table(order) : nothing} ${order.filter(hasMoved).map(distribution)}
  </section>`;
}

const nothingCame = (compares) =>
  compares.length
    ? "Nothing came to this worker in the last hour that could be compared with the training."
    : "Nobody can tell: its manifest has no summaries of its training to compare with.";

const withoutAnswers = (compares) =>
  compares.includes("feature") && !compares.includes("answer")
    ? "What it answers is not compared: its manifest does not say what it answered in training, as that of a new fit does."
    : nothing;

function sentence(order, fewest) {
  const of = "The last hour of this worker, samples of it, beside the training.";
  if (order.every((one) => one.rows < fewest)) return `${of} An index is told from ${count(fewest)} rows on.`;
  const moved = order.filter(hasMoved);
  if (!moved.length) return `${of} Nothing has moved by ${CHANGED} or more, and by more than chance can.`;
  return `${of} ${moved.map((one) => named(one.name)).join(", ")} ${moved.length === 1 ? "has" : "have"} moved.`;
}

// Few rows, here or in training, move the index by themselves.
const hasMoved = ({ stability, chance }) => stability !== null && stability >= Math.max(CHANGED, chance);

const WORDS = { large: "much changed", some: "changed", chance: "may be chance", none: "as trained" };

function mood(one) {
  if (hasMoved(one)) return one.stability >= MUCH ? "large" : "some";
  return one.stability >= CHANGED ? "chance" : "none";
}

function table(order) {
  const columns = [
    ["Rows", (one) => count(one.rows)],
    ["Missing", (one) => (one.kind === "feature" ? percent(one.missing) : "")],
    ["Beyond the training", (one) => (one.outside === null ? "" : percent(one.outside))],
    order.some((one) => one.unknown !== null) && [
      "Unknown",
      (one) => (one.unknown === null ? "" : percent(one.unknown)),
    ],
    ["Refused values", (one) => (one.kind === "feature" ? count(one.refused) : "")],
  ].filter(Boolean);
  return html`<div class="scrolls" tabindex="0" role="group" aria-label="Drift">
    <table class="drift">
      <thead>
        <tr>
          <th scope="col">Feature or answer</th>
          <th scope="col">Stability index</th>
          ${columns.map(([head]) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${order.map(
          (one) =>
            html`<tr class=${mood(one)}>
              <th scope="row">${named(one.name)}${one.kind === "answer" ? html`<span class="quiet">answered</span>` : nothing}</th>
              <td>${one.stability === null ? "–" : index(one)}</td>
              ${columns.map(([, cell]) => html`<td>${cell(one)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const index = (one) =>
  html`${one.stability < 0.001 ? "< 0.001" : number(Number(one.stability.toPrecision(2)))}, ${WORDS[mood(one)]}
  ${bar(Math.min(1, one.stability))}`;

const distribution = (one) =>
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
                <td class="now">${percent(one.seen[place])} ${bar(one.seen[place])}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
