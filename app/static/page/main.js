// Where the page starts: what it knows, which view shows it, and what happens on a new address.

import { html, nothing, render } from "../lit-html/lit-html.js";
import { call } from "./api.js";
import { Form } from "./form.js";
import { storedKey, storeKey } from "./key.js";
import { list } from "./list.js";
import { Watch } from "./live.js";
import { model } from "./model.js";

const watch = new Watch(looked, refused);
const page = {
  watch,
  update,
  refused,
  filter: "",
  metadata: new Map(),
  forms: new Map(),
  wantsKey: false,
  keyWasWrong: false,
};
let due = false;

// Draws what has changed, once, however often it is asked to before the next turn.
function update() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    render(view(), document.body);
  });
}

// After a look at the overview: what could not be fetched before is asked for again.
function looked() {
  for (const [key, found] of page.metadata) if (found instanceof Error) page.metadata.delete(key);
  update();
}

// A request was answered with an error that is not the visitor's: without a valid key there is nothing to show.
function refused(error) {
  if (error.status !== 401) return;
  page.keyWasWrong = storedKey() !== "";
  page.wantsKey = true;
  watch.pause();
  storeKey("");
  update();
}

// "#/models/digits/versions/1" -> { name: "digits", version: 1 }
function route() {
  const found = location.hash.match(/^#\/models\/([^/]+)(?:\/versions\/(\d+))?$/);
  return found ? { name: decodeURIComponent(found[1]), version: found[2] ? Number(found[2]) : undefined } : {};
}

function view() {
  const { name, version } = route();
  const overview = watch.overview;
  const found = name && overview?.models.find((one) => one.name === name);
  document.title = `${name ? `${found?.title || name} · ` : ""}Headrace`;
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to the content</a>
    ${header(overview)} ${watch.failures ? unreachable() : nothing}
    <main id="main" tabindex="-1">${page.wantsKey ? keyForm() : content(overview, name, version, found)}</main>
    ${footer(overview)}
  `;
}

function content(overview, name, version, found) {
  if (!overview) return watch.failures ? nothing : html`<p class="quiet" role="status">Asking which models serve …</p>`;
  if (!name) return list(page, overview);
  if (found) return model(page, found, version, metadataOf);
  return html`<h1 tabindex="-1">No model ${name}</h1>
    <p class="lead">This service has no model of that name. <a href="#/">See which it has.</a></p>`;
}

// The metadata of a version that serves: undefined until it has come, an error until the next look.
function metadataOf(name, version) {
  const key = `${name}/${version}`;
  if (!page.metadata.has(key)) {
    page.metadata.set(key, undefined);
    call(`/v1/models/${name}/versions/${version}/metadata`).then(
      (found) => {
        page.metadata.set(key, found);
        page.forms.set(key, new Form(found, page));
        update();
      },
      (error) => {
        page.metadata.set(key, error);
        refused(error);
        update();
      },
    );
  }
  return { metadata: page.metadata.get(key), form: page.forms.get(key) };
}

function header(overview) {
  return html`<header class="top">
    <a class="brand" href="#/"><img src="/static/page/logo.svg" alt="" width="28" height="28" />Headrace</a>
    ${overview && !page.wantsKey ? health(overview.service) : nothing}
    <nav aria-label="Documentation"><a href="/docs">API</a><a href="/redoc">Reference</a></nav>
  </header>`;
}

function health(service) {
  if (watch.failures) return html`<span class="state bad">Unreachable</span>`;
  return service.ready ? html`<span class="state good">Ready</span>` : html`<span class="state warn">Not ready</span>`;
}

function unreachable() {
  const seconds = Math.round(watch.pauseMs / 1000);
  return html`<p class="banner" role="status">
    <span>The service cannot be reached; trying again every ${seconds} seconds.</span>
    <button type="button" @click=${() => watch.look()}>Try now</button>
  </p>`;
}

function keyForm() {
  return html`<form class="key" @submit=${enterKey}>
    <h1 tabindex="-1">This service wants an API key</h1>
    <p>It is kept in this tab until you close it, and sent to this service alone.</p>
    <label for="key">API key</label>
    <div class="together">
      <input id="key" type="password" autocomplete="off" required autofocus aria-describedby="key-error" />
      <button class="primary">Continue</button>
    </div>
    <p id="key-error" class="error" role="alert">
      ${page.keyWasWrong ? "The service did not accept that key." : nothing}
    </p>
  </form>`;
}

function enterKey(event) {
  event.preventDefault();
  storeKey(event.target.querySelector("input").value.trim());
  page.wantsKey = false;
  watch.look();
  update();
}

function forgetKey() {
  storeKey("");
  page.keyWasWrong = false;
  page.wantsKey = true;
  watch.pause();
  update();
}

function footer(overview) {
  return html`<footer>
    <span>Headrace ${overview?.service.version}</span>
    ${
      page.wantsKey
        ? nothing
        : storedKey()
          ? html`<button type="button" class="link" @click=${forgetKey}>Forget the key</button>`
          : html`<a href="/openapi.json">OpenAPI document</a><a href="/metrics">Metrics</a>`
    }
  </footer>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

// A new address is a new page to a screen reader: its heading is read, from the top.
addEventListener("hashchange", () => {
  update();
  queueMicrotask(() => {
    scrollTo(0, 0);
    document.querySelector("main h1")?.focus({ preventScroll: true });
  });
});
document.body.replaceChildren();
update();
watch.look();
