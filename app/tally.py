"""Figures of requests and runs on their way into the series of `metrics.py`.

A counter of prometheus-client takes a lock and a dictionary or two for each event; a request has a dozen of events.
Here an event is an addition to a plain number. Everything belongs to the event loop's thread.
"""

from collections import Counter
from time import time

from app.metrics import RELEASES, STAGES, Metrics

MOST_EXACT_ROWS = 1024
"""Runs of more rows are counted under the next power of two: a model that runs requests whole, whatever their rows,
would else make new series as long as its callers think of new sizes."""

MOST_HELD = 4096
"""Observations that are held at most before they go into the series."""


class RequestTally:
    """Requests answered, by model, protocol and status, with their seconds; and those that failed, by reason."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seconds: dict[tuple[str, str, int], list[float]] = {}
        self._failed: Counter[tuple[str, str]] = Counter()

    def add(self, model: str, protocol: str, status: int, seconds: float) -> None:
        """One request, from its first byte to the last of its answer."""
        place = model, protocol, status
        held = self._seconds.get(place)
        if held is None:
            held = self._seconds[place] = []
            self._metrics.unflushed.add(self)
        held.append(seconds)
        if len(held) >= MOST_HELD:
            self.flush()

    def fail(self, model: str, reason: str) -> None:
        """One request that did not get what it asked for."""
        self._failed[model, reason] += 1
        self._metrics.unflushed.add(self)

    def flush(self) -> None:
        """Put it all into the series."""
        for (model, reason), count in self._failed.items():
            self._metrics.failures.labels(model, reason).inc(count)
        self._failed.clear()
        for (model, protocol, status), seconds in self._seconds.items():
            self._metrics.requests.labels(model, protocol, status).inc(len(seconds))
            self._metrics.request_seconds.labels(model, protocol).observe_all(seconds)
        self._seconds.clear()


class ModelTally:
    """What one model version has done."""

    def __init__(self, metrics: Metrics, model: str, version: int) -> None:
        self._metrics, self._place = metrics, (model, str(version))
        self._queue_rows = 0
        self._stages = {stage: metrics.stage_seconds.labels(*self._place, stage) for stage in STAGES}
        for release in RELEASES:
            metrics.runs.labels(*self._place, release)
        for series in (metrics.queue_seconds, metrics.compute_seconds, metrics.batch_rows, metrics.inline_seconds):
            series.labels(*self._place)  # so that it is there from the start
        metrics.queue_rows.labels(*self._place)
        for outcome in ("success", "fail"):
            metrics.inference_seconds.labels(*self._place, outcome)
        self._clear()

    def _clear(self) -> None:
        self._answered = {"success": [0.0, 0.0], "fail": [0.0, 0.0]}
        self._last_s = 0.0
        self._waits: list[float] = []
        self._computes: list[float] = []
        self._rows: list[float] = []
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._runs: dict[int, tuple[int, float, float, float]] = {}
        self._inline = [0.0, 0.0]
        self._released: Counter[str] = Counter()

    def queue(self, rows: int) -> None:
        """So many rows wait now."""
        self._metrics.unflushed.add(self)
        self._queue_rows = rows

    def request(self, seconds: float, succeeded: bool) -> None:
        """One request, decoded, answered and encoded in so long."""
        self._metrics.unflushed.add(self)
        answered = self._answered["success" if succeeded else "fail"]
        answered[0] += 1
        answered[1] += seconds
        if succeeded:
            self._last_s = time()

    def start(self, waits: list[float], release: str) -> None:
        """A run begins, for one of RELEASES; seconds that each of its requests was in the queue."""
        self._metrics.unflushed.add(self)
        self._released[release] += 1
        self._waits += waits
        self._spent["queue"] += sum(waits)

    def run(self, rows: int, requests: int, input_s: float, infer_s: float, output_s: float) -> None:
        """One run is over, for so many rows of so many requests; the seconds of stacking, of computing and of cutting
        apart."""
        self._metrics.unflushed.add(self)
        self._computes.append(infer_s)
        self._rows.append(rows)
        spent = self._spent
        spent["input"] += requests * input_s
        spent["infer"] += requests * infer_s
        spent["output"] += requests * output_s
        size = rows if rows <= MOST_EXACT_ROWS else 1 << (rows - 1).bit_length()
        count, *sums = self._runs.get(size, (0, 0.0, 0.0, 0.0))
        self._runs[size] = count + 1, sums[0] + input_s, sums[1] + infer_s, sums[2] + output_s
        if len(self._waits) >= MOST_HELD:
            self.flush()

    def inline(self, seconds: float) -> None:
        """A run held up the event loop for so long."""
        self._inline[0] += 1
        self._inline[1] += seconds

    def flush(self) -> None:
        """Put it all into the series."""
        to, place = self._metrics, self._place
        to.queue_rows.labels(*place).set(self._queue_rows)
        for outcome, (count, total) in self._answered.items():
            to.inference_seconds.labels(*place, outcome).observe_all(count, total)
        if self._last_s:
            to.last_inference.labels(*place).set(self._last_s)
        to.queue_seconds.labels(*place).observe_all(self._waits)
        to.compute_seconds.labels(*place).observe_all(self._computes)
        to.batch_rows.labels(*place).observe_all(self._rows)
        to.inline_seconds.labels(*place).observe_all(*self._inline)
        for release, count in self._released.items():
            to.runs.labels(*place, release).inc(count)
        for stage, seconds in self._spent.items():
            self._stages[stage].inc(seconds)
        for rows, sums in self._runs.items():
            to.batches.labels(*place, rows).inc(sums[0])
            for stage, spent in zip(STAGES[1:], sums[1:], strict=True):
                to.batch_seconds.labels(*place, rows, stage).inc(spent)
        self._clear()
