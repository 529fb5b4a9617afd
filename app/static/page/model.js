// One model version: what it is, a form to try it, how good it is, and how it does now.

import { html, nothing } from "../lit-html/lit-html.js";
import { call } from "./api.js";
import { data, quality, training } from "./card.js";
import { drift } from "./drift.js";
import { providers, stateOf } from "./list.js";
import { markdown } from "./markdown.js";
import { serving } from "./serving.js";
import { tryIt } from "./form.js";
import { sentence } from "./words.js";

export function model(page, found, number, metadataOf) {
  const shown =
    number === undefined
      ? found.versions.find((one) => one.default)
      : found.versions.find((one) => one.version === number);
  if (number !== undefined && !shown) return noVersion(found, number);
  const { metadata, form } = shown?.state === "READY" ? metadataOf(found.name, shown.version) : {};
  // The title stays the same element while the rest comes, so that a screen reader's place is kept.
  return html`${title(found, shown, metadata?.manifest)}${body(page, found, shown, metadata, form)}`;
}

function body(page, found, shown, metadata, form) {
  if (!shown) return notReady(page, found.name, stateOf(found).word === "Loading", stateOf(found).reason);
  if (shown.state !== "READY") return notReady(page, found.name, shown.state === "LOADING", shown.reason);
  if (metadata instanceof Error) return html`<p class="error">${metadata.message}</p>`;
  if (!metadata) return html`<p class="quiet" role="status">Fetching its card …</p>`;
  const card = metadata.manifest;
  return html`
    ${shown.reason ? html`<p class="notice">It serves what was loaded before; the last load failed: ${shown.reason}</p>` : nothing}
    ${card ? purpose(card) : bare(metadata)} ${tryIt(form, page)}
    ${card ? html`${quality(card)}${training(card.training, metadata)}${data(card)}` : nothing}
    ${
      card?.card
        ? html`<section class="more">
            <h2>More from its training</h2>
            ${markdown(card.card)}
          </section>`
        : nothing
    }
    ${serving(page.watch, shown, metadata)} ${card ? drift(found.name, shown.version) : nothing}
  `;
}

function noVersion(found, number) {
  return html`<h1 tabindex="-1">${found.title || found.name} has no version ${number}</h1>
    <p class="lead">
      It has ${found.versions.map((one) => one.version).join(", ") || "none"}.
      <a href="#/models/${found.name}">See the one that answers.</a>
    </p>`;
}

function title(found, shown, card) {
  const state = shown ? stateOf({ versions: [shown] }) : stateOf(found);
  return html`
    <nav class="trail" aria-label="Breadcrumb">
      <a href="#/">Models</a> / <span aria-current="page">${found.name}</span>
    </nav>
    <div class="title">
      <h1 tabindex="-1">${card?.title || found.title || found.name}</h1>
      <span class="state ${state.mood}">${state.word}</span>
    </div>
    ${card ? html`<p class="lead">${card.description}</p>` : nothing}
    ${found.versions.length ? versions(found, shown) : nothing}
  `;
}

function versions(found, shown) {
  return html`<nav class="versions" aria-label="Versions">
    <span class="quiet">Version</span>
    ${found.versions.map(
      (one) =>
        html`<a
          class="chip"
          href="#/models/${found.name}/versions/${one.version}"
          aria-current=${one === shown ? "page" : nothing}
          >${[one.version, ...one.labels].join(" · ")}${one.default && found.versions.length > 1 ? " · answers by default" : ""}</a
        >`,
    )}
    ${shown ? providers([shown]) : nothing}
  </nav>`;
}

function notReady(page, name, loading, reason) {
  if (loading)
    return html`<p class="notice" role="status">It is being loaded. This page shows it as soon as it is ready.</p>`;
  return html`<div class="notice bad">
    <h2>It could not be loaded</h2>
    <p class="reason">${reason}</p>
    <p>The other models are not touched by this. <code>python -m app check</code> says the same before a start.</p>
    ${page.watch.overview.service.repository_control ? loadAgain(page, name) : nothing}
  </div>`;
}

function loadAgain(page, name) {
  const load = async () => {
    await call(`/v2/repository/models/${name}/load`, "{}").catch(page.refused);
    page.watch.look();
  };
  return html`<p><button type="button" @click=${load}>Load it again</button></p>`;
}

function purpose(card) {
  return html`<div class="purpose">
    <section>
      <h2>What it is for</h2>
      <p>${sentence(card.intended_use)}</p>
    </section>
    <section>
      <h2>Its limits</h2>
      <p>${sentence(card.limits)}</p>
    </section>
  </div>`;
}

function bare(metadata) {
  return html`<p class="lead apart">
    A graph without a manifest: nobody has written down what it is for. It takes
    ${metadata.inputs.map((one) => one.name).join(", ") || "nothing"} and gives
    ${metadata.outputs.map((one) => one.name).join(", ")}.
  </p>`;
}
