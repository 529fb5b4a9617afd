// The charts: SVG in the size of its place, so that text keeps its size, with the same in words and as a table.

import { html, nothing, render, svg } from "../lit-html/lit-html.js";
import { epochTicks, linearTicks, logTicks, scale } from "./ticks.js";
import { duration, inWords, named, number, rate } from "./words.js";

const LEFT = 52;
const RIGHT = 12;
const SPARSE = 8;

class Chart extends HTMLElement {
  connectedCallback() {
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.observer.disconnect();
  }

  draw() {
    const width = this.clientWidth;
    if (width) render(this.picture(width), this);
  }
}

class TrainingCurves extends Chart {
  set curves(curves) {
    if (this.given === curves) return;
    this.given = curves;
    this.draw();
  }

  set best(epoch) {
    if (this.kept === epoch) return;
    this.kept = epoch;
    this.draw();
  }

  picture(width) {
    const { given: curves, kept } = this;
    if (!curves || kept === undefined) return nothing;
    const place = Math.max(0, curves.epochs.indexOf(kept));
    const across = scale([curves.epochs[0], curves.epochs.at(-1)], [LEFT, width - RIGHT]);
    const losses = {
      lines: [
        ["training loss", curves.train_loss, "muted"],
        ["validation loss", curves.validation_loss, "first"],
      ],
    };
    const scores = { lines: [[`${inWords(curves.measure)} on validation`, curves.score, "second"]] };
    return html`<figure>
      ${panel({ ...losses, log: true, height: 220, width, across, epochs: curves.epochs, place, kept })}
      ${panel({ ...scores, log: false, height: 150, width, across, epochs: curves.epochs, place, kept, axis: true })}
      <figcaption>
        Loss (logarithmic) and ${inWords(curves.measure)} over the epochs. Epoch ${kept} was kept: loss
        ${number(curves.validation_loss[place])} on the validation rows, ${number(curves.train_loss[place])} on the
        training rows, ${inWords(curves.measure)} ${number(curves.score[place])}.
      </figcaption>
      <details>
        <summary>The curves as a table</summary>
        <div class="scrolls low" tabindex="0" role="group" aria-label="The curves as a table">
          <table>
            <thead>
              <tr>
                ${["Epoch", "Training loss", "Validation loss", named(curves.measure)].map((name) => html`<th scope="col">${name}</th>`)}
              </tr>
            </thead>
            <tbody>
              ${curves.epochs.map(
                (epoch, i) =>
                  html`<tr>
                    <th scope="row">${epoch}${epoch === kept ? " (kept)" : ""}</th>
                    ${[curves.train_loss, curves.validation_loss, curves.score].map((line) => html`<td>${number(line[i])}</td>`)}
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>
      </details>
    </figure>`;
  }
}

// lines: [name, values, colour]. place: of the kept epoch among the values. axis: whether the epochs are written below.
function panel({ lines, log, height, width, across, epochs, place, kept, axis }) {
  const values = lines.flatMap(([, line]) => line).filter((value) => !log || value > 0);
  const ticks = log && Math.max(...values) >= SPARSE * Math.min(...values) ? logTicks(values) : linearTicks(values);
  const forward = log ? Math.log10 : (value) => value;
  const shown = ticks.filter((tick) => !log || tick > 0);
  const [low, high] = [Math.min(...values, ...(log ? [] : ticks)), Math.max(...values, ...ticks)].map(forward);
  const bottom = height - (axis ? 26 : 8);
  const up = scale([low, high], [bottom, 28]);
  const at = (value) => up(forward(Math.max(value, log ? 10 ** low : -Infinity)));
  const path = (line) =>
    line.map((value, i) => `${i ? "L" : "M"}${across(epochs[i]).toFixed(1)} ${at(value).toFixed(1)}`).join("");
  const x = across(kept);
  return html`<div class="legend" aria-hidden="true">
      ${lines.map(([name, , colour]) => html`<span class=${colour}>${name}</span>`)}
    </div>
    <svg
      class="chart"
      width=${width}
      height=${height - 20}
      viewBox="0 20 ${width} ${height - 20}"
      role="img"
      aria-label="${lines.map(([name]) => name).join(" and ")}, by epoch"
    >
      ${shown
        .filter((tick) => at(tick) <= bottom)
        .map(
          (tick) => svg`<line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${at(tick)} y2=${at(tick)} />
        <text x=${LEFT - 8} y=${at(tick) + 4} text-anchor="end">${number(tick)}</text>`,
        )}
      ${axis ? epochTicks(epochs, width).map((epoch) => epochTick(epoch, across(epoch), height - 6, width)) : nothing}
      <line class="kept" x1=${x} x2=${x} y1="24" y2=${bottom} />
      ${lines.map(([, line, colour]) => svg`<path class="line ${colour}" d=${path(line)} />`)}
      ${lines.slice(-1).map(([, line, colour]) => svg`<circle class=${colour} cx=${x} cy=${at(line[place])} r="4" />`)}
    </svg>`;
}

const epochTick = (epoch, x, y, width) =>
  svg`<text x=${x} y=${y} text-anchor=${x > width - 24 ? "end" : "middle"}>${epoch}</text>`;

class RecentCalls extends Chart {
  set series(series) {
    this.given = series;
    this.draw();
  }

  picture(width) {
    const series = this.given ?? [];
    if (series.length < 2 || series.every((one) => !one.requests)) {
      return html`<p class="quiet">Its calls and their latency are drawn here as they come.</p>`;
    }
    const end = series.at(-1).at;
    const across = scale([end - 120_000, end], [0, width - RIGHT]);
    const most = Math.max(...series.map((one) => one.perSecond));
    const slowest = Math.max(...series.map((one) => one.p99 ?? 0));
    return html`<figure>
      ${band(series, across, width, most, (one) => one.perSecond, "second", `calls a second, up to ${rate(most)}`)}
      ${band(series, across, width, slowest, (one) => one.p99, "first", `99 % answered within, up to ${duration(slowest)}`)}
      <figcaption>The last two minutes, now at the right.</figcaption>
    </figure>`;
  }
}

function band(series, across, width, most, of, colour, name) {
  const up = scale([0, most || 1], [56, 6]);
  const points = series.filter((one) => of(one) !== undefined && of(one) !== Infinity);
  const bars = points.map(
    (one) =>
      svg`<line class="bar ${colour}" stroke-width=${Math.max(3, width / 120)}
        x1=${across(one.at)} x2=${across(one.at)} y1="57" y2=${Math.min(56, up(of(one)))} />`,
  );
  return html`<div class="legend" aria-hidden="true"><span class=${colour}>${name}</span></div>
    <svg class="chart" width=${width} height="60" viewBox="0 0 ${width} 60" role="img" aria-label=${name}>
      <line class="grid" x1="0" x2=${width} y1="57" y2="57" />
      ${bars}
    </svg>`;
}

customElements.define("training-curves", TrainingCurves);
customElements.define("recent-calls", RecentCalls);
