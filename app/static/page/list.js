// Every model at one glance.

import { html, nothing } from "../lit-html/lit-html.js";
import { repeat } from "../lit-html/directives/repeat.js";
import { duration, plural, provider, rate } from "./words.js";

const WORTH_A_FILTER = 9;

export function list(page, { models, service }) {
  const asked = page.filter.trim().toLowerCase();
  const shown = models.filter((one) => `${one.name} ${one.title} ${one.task}`.toLowerCase().includes(asked));
  return html`
    <div class="heading">
      <div>
        <h1 tabindex="-1">Models</h1>
        <p class="lead">${summary(models)}</p>
      </div>
      ${models.length >= WORTH_A_FILTER ? filter(page) : nothing}
    </div>
    ${service.ready ? nothing : held(service.waiting)}
    ${models.length ? nothing : html`<p>The repository is empty. A model is a folder: <code>name/1/model.onnx</code>.</p>`}
    ${models.length && !shown.length ? html`<p>No model matches “${page.filter}”.</p>` : nothing}
    <ul class="models">
      ${repeat(
        shown,
        (one) => one.name,
        (one) => item(page, one),
      )}
    </ul>
  `;
}

const held = (waiting) =>
  html`<p class="held">Not ready for traffic: waiting for ${Object.keys(waiting).join(", ")}.</p>`;

function summary(models) {
  const serving = models.filter((one) => stateOf(one).word === "Ready").length;
  const loading = models.filter((one) => stateOf(one).word === "Loading").length;
  const broken = models.length - serving - loading;
  const rest = [loading && `${loading} loading`, broken && `${broken} not available`].filter(Boolean).join(", ");
  return `${plural(serving, "model")} ready to answer${rest ? `; ${rest}` : ""}. Open one to see what it does and to try it.`;
}

function filter(page) {
  const typed = (event) => {
    page.filter = event.target.value;
    page.update();
  };
  return html`<div class="filter">
    <label for="filter">Filter</label>
    <input id="filter" type="search" .value=${page.filter} @input=${typed} />
  </div>`;
}

function item(page, one) {
  const state = stateOf(one);
  return html`<li class="model">
    <div class="what">
      <h2><a href="#/models/${one.name}">${one.title || one.name}</a></h2>
      <p class="quiet">
        ${one.title ? html`<code>${one.name}</code>` : nothing}${one.task ? html`<span>${one.task}</span>` : nothing}
      </p>
    </div>
    <p class="how">
      <span class="state ${state.mood}">${state.word}</span>
      ${versions(one)}
    </p>
    ${state.mood === "bad" ? html`<p class="reason">${state.reason}</p>` : figures(page.watch.now(one.name))}
  </li>`;
}

// One word for a model, from its versions: it is as good as the best of them, and tells what ails it.
export function stateOf({ versions, reason }) {
  const ready = versions.filter((version) => version.state === "READY");
  const reasons = [reason, ...versions.map((version) => version.reason)].filter(Boolean).join("; ");
  if (ready.length) return { word: "Ready", mood: "good", reason: reasons };
  if (versions.some((version) => version.state === "LOADING")) return { word: "Loading", mood: "busy", reason: "" };
  return { word: "Not available", mood: "bad", reason: reasons };
}

function versions({ versions }) {
  return html`
    ${versions.map((version) => html`<span class="chip">${[`v${version.version}`, ...version.labels].join(" · ")}</span>`)}
    ${providers(versions)}
  `;
}

export function providers(versions) {
  const used = [...new Set(versions.flatMap((version) => version.providers))].map(provider);
  const missing = [...new Set(versions.flatMap((version) => version.missing_providers))].map(provider);
  return html`
    ${used.length ? html`<span class="chip">${used.join(", ")}</span>` : nothing}
    ${missing.length ? html`<span class="chip warn">without ${missing.join(", ")}</span>` : nothing}
  `;
}

function figures(now) {
  return html`<dl class="figures">
    <div>
      <dt>calls/s</dt>
      <dd>${rate(now.perSecond)}</dd>
    </div>
    <div>
      <dt>median</dt>
      <dd>${now.p50 === undefined ? "–" : duration(now.p50)}</dd>
    </div>
    <div>
      <dt>waiting</dt>
      <dd>${now.waiting}</dd>
    </div>
  </dl>`;
}
