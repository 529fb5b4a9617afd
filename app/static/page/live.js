// What the service does now: looks at /page/overview every two seconds, and what two looks tell of the time between.

import { call } from "./api.js";

const PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;
const KEPT_MS = 120_000;
const WINDOW_MS = 60_000;

export class Watch {
  // changed: called after every look; refused: called with the error of a look that wants a key.
  constructor(changed, refused) {
    this.changed = changed;
    this.refused = refused;
    this.looks = [];
    this.failures = 0;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.look()));
  }

  get overview() {
    return this.looks.at(-1)?.overview;
  }

  get pauseMs() {
    return Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** this.failures);
  }

  pause() {
    clearTimeout(this.timer);
  }

  async look() {
    this.pause();
    try {
      this.keep(await call("/page/overview"));
      this.failures = 0;
    } catch (error) {
      if (error.status === 401) return this.refused(error);
      this.failures += 1;
    }
    this.pause();
    if (!document.hidden) this.timer = setTimeout(() => this.look(), this.pauseMs);
    this.changed();
  }

  keep(overview) {
    const look = { at: performance.now(), overview, live: new Map(overview.models.map((m) => [m.name, m.live])) };
    const last = this.looks.at(-1);
    const restarted = last && overview.models.some((m) => m.live.requests < (last.live.get(m.name)?.requests ?? 0));
    this.looks = restarted ? [] : this.looks.filter((one) => look.at - one.at < KEPT_MS);
    this.looks.push(look);
  }

  // The last minute of one model, or what has been seen of it.
  now(name) {
    const last = this.looks.at(-1);
    return between(
      this.looks.find((look) => last.at - look.at <= WINDOW_MS),
      last,
      name,
    );
  }

  // One figure for each pause between two looks that saw the model, oldest first.
  series(name) {
    const looks = this.looks.filter((look) => look.live.has(name));
    return looks.slice(1).map((look, place) => between(looks[place], look, name));
  }
}

function between(from, to, name) {
  const before = from.live.get(name) ?? to.live.get(name);
  const after = to.live.get(name);
  const seconds = (to.at - from.at) / 1000;
  const requests = after.requests - before.requests;
  const runs = after.runs - before.runs;
  const counts = after.latency.map(([bound, total], place) => [
    bound ?? Infinity,
    total - (before.latency[place]?.[1] ?? 0),
  ]);
  return {
    at: to.at,
    waiting: after.queue_rows,
    requests,
    failures: after.failures - before.failures,
    perSecond: seconds > 0 ? requests / seconds : 0,
    rowsARun: runs > 0 ? (after.rows - before.rows) / runs : undefined,
    p50: percentile(counts, 0.5),
    p99: percentile(counts, 0.99),
  };
}

// By Prometheus's rule: linear within the bucket. counts: [upper bound, how many up to it], ascending.
function percentile(counts, share) {
  const total = counts.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const wanted = share * total;
  const place = counts.findIndex(([, upTo]) => upTo >= wanted);
  const [bound, upTo] = counts[place];
  const [low, below] = place ? counts[place - 1] : [0, 0];
  return bound === Infinity ? Infinity : low + ((bound - low) * (wanted - below)) / (upTo - below);
}
