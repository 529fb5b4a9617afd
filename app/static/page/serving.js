// How a model version does now: its last minute, and how it is set up.

import { html, nothing } from "../lit-html/lit-html.js";
import "./chart.js";
import { count, duration, percent, plural, provider, rate } from "./words.js";

export function serving(watch, shown, metadata) {
  const now = watch.now(metadata.name);
  const series = watch.series(metadata.name);
  return html`<section aria-labelledby="now">
    <h2 id="now">How it does now</h2>
    <p class="quiet">All versions together, over the last minute.</p>
    <dl class="tiles">
      ${tile("Calls a second", rate(now.perSecond))}
      ${tile("Median latency", now.p50 === undefined ? "–" : duration(now.p50))}
      ${tile("99 % within", now.p99 === undefined ? "–" : duration(now.p99))}
      ${tile("Rows waiting", count(now.waiting))}
      ${tile("Rows a run", now.rowsARun === undefined ? "–" : rate(now.rowsARun))}
      ${tile("Refused or failed", now.requests ? percent(now.failures / now.requests) : "–")}
    </dl>
    <recent-calls .series=${series}></recent-calls>
    ${setUp(shown, metadata)}
  </section>`;
}

const tile = (name, value) =>
  html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;

function setUp(shown, metadata) {
  const rows =
    metadata.max_rows === null ? "every request by itself" : `at most ${plural(metadata.max_rows, "row")} a run`;
  return html`<details>
    <summary>How it is set up</summary>
    <dl class="pairs">
      ${pair("Version", [metadata.version, ...metadata.labels].join(" · "))}
      ${pair("Batching", `${metadata.batched ? "Requests share runs" : "Requests do not share runs"}, ${rows}: ${metadata.because}`)}
      ${pair("Runs at one time", `${metadata.instances}, of ${plural(metadata.threads, "thread")} each`)}
      ${pair("Runs on", Object.entries(metadata.providers).map(([name, nodes]) => `${provider(name)} (${plural(nodes, "node")})`).join(", "))}
      ${metadata.missing_providers.length ? pair("Asked for, not in use", metadata.missing_providers.map(provider).join(", ")) : nothing}
      ${pair("Deadline", duration(metadata.deadline_ms / 1000))}
      ${metadata.inputs.map((one) => pair(`Takes ${one.name}`, tensor(one)))}
      ${metadata.outputs.map((one) => pair(`Gives ${one.name}`, tensor(one)))}
    </dl>
  </details>`;
}

const pair = (name, value) =>
  html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;

const tensor = ({ datatype, shape }) =>
  `${datatype}, ${shape.map((size) => (size < 0 ? "any" : size)).join(" × ") || "one value"}`;
