"""Every Prometheus series of the service: its name, unit and labels.

One `Metrics` belongs to one app. With several workers the supervisor sets PROMETHEUS_MULTIPROC_DIR before they start;
prometheus-client then keeps every value in a file there and a scrape of any worker adds up all of them. The protocol's
statistics are read from the same series, so that they are right for several workers too.

Requests are counted in tallies (`app/tally.py`), plain numbers of the event loop's own, which go into the series before
anyone reads them and once a second.
"""

import asyncio
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, Summary, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

VERSION = ("model", "version")

UNEXPOSED = "headrace_statistics_"
"""Begins the names of series for the protocol's statistics alone: one for each batch size is too many to scrape."""

STAGES = ("queue", "input", "infer", "output")
"""What a request goes through: it waits, is stacked with others, is computed, and is cut out of the batch."""

RELEASES = {
    "free": "a free instance took all that waited",
    "full": "it had its most rows",
    "delay": "the queue delay was over",
    "whole": "the request runs by itself",
}
"""Why a batch began its run."""


class BulkHistogram(Histogram):
    """A histogram that takes many observations at once: one at a time costs a request a tenth of its time."""

    def observe_all(self, values: Sequence[float]) -> None:
        """As `observe` of each of them."""
        places = np.searchsorted(self._upper_bounds, values)
        for place, count in zip(*np.unique(places, return_counts=True), strict=True):
            self._buckets[place].inc(int(count))
        self._sum.inc(sum(values))


class BulkSummary(Summary):
    """A summary that takes many observations at once."""

    def observe_all(self, count: float, total: float) -> None:
        """As `observe` of `count` values that add up to `total`."""
        self._count.inc(count)
        self._sum.inc(total)


class Tally(Protocol):
    """Figures that have been taken and are not in the series yet."""

    def flush(self) -> None:
        """Put them there."""


WATCHED = (*VERSION, "name", "kind")
Drifted = Mapping[tuple[str, int, str, str], Mapping[str, float]]
"""The figures, by their names in DRIFT, of what of a model version is compared with its training."""

DRIFT = {
    "stability_index": "Population stability index of a feature or an answer, the last hour's against the training's, "
    "of the worker that has the most; by custom 0.1 is a change and 0.25 a large one. 0 below 500 rows.",
    "stability_chance": "What the index exceeds once in a thousand times where nothing has changed. 0 below 500 rows.",
    "rows": "Rows of the last hour that were counted for it.",
    "missing_ratio": "Share of the last hour's values that were missing, or equal to what stands for a missing one.",
    "outside_ratio": "Share of the last hour's values that lay below or above all of the training's.",
    "unknown_ratio": "Share of the last hour's values that are none of the manifest's categories.",
    "refused_values": "Values of the last hour for which requests were refused, ten a request at most: out of the "
    "manifest's range, none of its categories, missing or of another type.",
}

COUNTED = ("rows", "refused_values")
"""Of these, all workers' count together."""


class Statistics:
    """One model version since the start, over all workers.

    requests: outcome (success, fail) -> how many, and their seconds from decoding to encoding.
    stages:   stage -> seconds, summed over the requests that succeeded.
    batches:  rows of a run (above 1024 a power of two) -> how many runs, and their seconds by stage.
    """

    def __init__(self) -> None:
        self.rows = self.runs = 0
        self.last_inference_s = 0.0
        self.requests: dict[str, list[float]] = {"success": [0, 0.0], "fail": [0, 0.0]}
        self.stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.batches: dict[int, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("count", *STAGES[1:]), 0.0))

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Take one sample in; those that say nothing of a request or a run are passed over."""
        match name.removeprefix("headrace_"):
            case "batch_rows_sum":
                self.rows = int(value)
            case "batch_rows_count":
                self.runs = int(value)
            case "last_inference_timestamp_seconds":
                self.last_inference_s = value
            case "inference_seconds_count":
                self.requests[labels["outcome"]][0] = value
            case "inference_seconds_sum":
                self.requests[labels["outcome"]][1] = value
            case "stage_seconds_total":
                self.stages[labels["stage"]] = value
            case "statistics_batches_total":
                self.batches[int(labels["rows"])]["count"] = value
            case "statistics_batch_seconds_total":
                self.batches[int(labels["rows"])][labels["stage"]] = value


class Metrics:
    """All series; `exposition` is what GET /metrics answers."""

    def __init__(self) -> None:
        self.unflushed: set[Tally] = set()
        self._keys: set[str] = set()
        self._drifted: Drifted = {}
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_requests_total",
            "Requests answered, by model (empty where the path names none that exists), protocol and HTTP status.",
            ("model", "protocol", "status"),
            registry=registry,
        )
        self.request_seconds = BulkHistogram(
            "headrace_request_seconds",
            "From the first byte of the request to the last of the answer.",
            ("model", "protocol"),
            buckets=SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "headrace_request_failures_total",
            "Requests that did not get what they asked for, by reason: invalid_input, queue_rows (too many wait), "
            "queue_wait (too long), in_flight (too many), rate_exceeded, deadline_exceeded, caller_gone, bug, others.",
            ("model", "reason"),
            registry=registry,
        )
        self.inference_seconds = BulkSummary(
            "headrace_inference_seconds",
            "From a whole body to a whole answer, by outcome: success or fail.",
            (*VERSION, "outcome"),
            registry=registry,
        )
        self.stage_seconds = Counter(
            "headrace_stage_seconds_total",
            "Where the requests that succeeded spent their time: queue, input (stacking), infer, output (cutting).",
            (*VERSION, "stage"),
            registry=registry,
        )
        self.queue_seconds = BulkHistogram(
            "headrace_queue_seconds",
            "From entering the model's queue to the start of the run.",
            VERSION,
            buckets=SECONDS,
            registry=registry,
        )
        self.runs = Counter(
            "headrace_runs_total",
            "Runs that began, by what released the batch. " + "; ".join(map(": ".join, RELEASES.items())) + ".",
            (*VERSION, "released"),
            registry=registry,
        )
        self.compute_seconds = BulkHistogram(
            "headrace_compute_seconds",
            "One run of the graph, whatever the number of requests in it.",
            VERSION,
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_rows = BulkHistogram(
            "headrace_batch_rows",
            "Rows in one run; sum divided by count is the mean batch size.",
            VERSION,
            buckets=ROWS,
            registry=registry,
        )
        self.queue_rows = Gauge(
            "headrace_queue_rows",
            "Rows that wait for a run.",
            VERSION,
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.last_inference = Gauge(
            "headrace_last_inference_timestamp_seconds",
            "When the model version last answered, in seconds since 1970.",
            VERSION,
            multiprocess_mode="max",
            registry=registry,
        )
        self.ready = Gauge(
            "headrace_ready",
            "1 where the service is ready, as /health/ready says, 0 where it is not; the least over all workers.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.model_ready = Gauge(
            "headrace_model_ready",
            "1 where the model version serves, 0 where it does not; the least over all workers.",
            VERSION,
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.model_threads = Gauge(
            "headrace_model_threads",
            "Threads that runs of the model version may keep busy at one time: instances x threads, of all workers.",
            VERSION,
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.model_nodes = Gauge(
            "headrace_model_nodes",
            "Nodes of the model version's graph that run on an execution provider.",
            (*VERSION, "provider"),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.model_file_bytes = Gauge(
            "headrace_model_file_bytes",
            "Files of the model version that hold its graph and weights; what a loaded one takes at least.",
            VERSION,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.build_info = Gauge(
            "headrace_build_info",
            "1, with the versions of what serves.",
            ("version", "onnxruntime", "python"),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.loop_stall_seconds = Histogram(
            "headrace_event_loop_stall_seconds",
            "How late the event loop came to what was due, ten times a second: meanwhile it answered no one.",
            buckets=SECONDS,
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "headrace_certificate_expiry_timestamp_seconds",
            "When the certificate of HTTPS ends, in seconds since 1970.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.key_expiry = Gauge(
            "headrace_key_expiry_timestamp_seconds",
            "When a key of the keys file ends, in seconds since 1970; keys without an end are not here.",
            ("key",),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.drift = {
            name: Gauge(
                f"headrace_drift_{name}",
                told,
                WATCHED,
                multiprocess_mode="livesum" if name in COUNTED else "livemax",
                registry=registry,
            )
            for name, told in DRIFT.items()
        }
        self.cores = Gauge(
            "headrace_cores",
            "Cores that runs may use, by the CPU affinity and the cgroup's quota, of all workers.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.model_loads = Counter(
            "headrace_model_loads_total",
            "Versions that were opened or could not be, at the start and later, by outcome: success or fail.",
            ("model", "outcome"),
            registry=registry,
        )
        self.logged_runs = Counter(
            "headrace_prediction_log_runs_total",
            "Runs for the prediction log, by outcome: written, or dropped since there was no room or time for them.",
            ("outcome",),
            registry=registry,
        )
        self.store_up = Gauge(
            "headrace_store_up",
            "1 where the last look at the models' store succeeded, 0 where it did not.",
            ("store",),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.store_looked = Gauge(
            "headrace_store_last_look_timestamp_seconds",
            "When a look at the models' store last succeeded, in seconds since 1970.",
            ("store",),
            multiprocess_mode="max",
            registry=registry,
        )
        self.store_incomplete = Gauge(
            "headrace_store_incomplete_versions",
            "Version folders of the models' store that are not taken: they are not whole, or there is no room.",
            ("store",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.connections = Gauge(
            "headrace_connections",
            "Connections that are open, as of the last second.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.in_flight = Gauge(
            "headrace_requests_in_flight",
            "Predictions that have begun and are not yet answered, as of the last second.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.refused_connections = Counter(
            "headrace_refused_connections_total",
            "Connections ended before there was a request, by the status they were told: not HTTP, too long, too slow, "
            "too many.",
            ("status",),
            registry=registry,
        )
        self.resident_bytes = Gauge(
            "headrace_process_resident_memory_bytes",
            "Resident memory of a serving process.",
            multiprocess_mode="liveall",
            registry=registry,
        )
        self.inline_seconds = BulkSummary(
            "headrace_inline_run_seconds",
            "Runs on the event loop itself, of models whose measured run is not worth a thread.",
            VERSION,
            registry=registry,
        )
        self.inline_bound = Gauge(
            "headrace_inline_bound_seconds",
            "A run on the event loop takes no more rows than are expected to hold it up for so long.",
            multiprocess_mode="max",
            registry=registry,
        )
        self.batches = Counter(
            f"{UNEXPOSED}batches_total", "Runs, by their rows.", (*VERSION, "rows"), registry=registry
        )
        self.batch_seconds = Counter(
            f"{UNEXPOSED}batch_seconds_total",
            "Seconds of runs, by their rows and stage.",
            (*VERSION, "rows", "stage"),
            registry=registry,
        )

    def tell_place(self, model: str, version: int, nodes: Mapping[str, int], threads: int, file_bytes: int) -> None:
        """Where a version runs. nodes: by execution provider. file_bytes: of its graph and weights."""
        self.model_file_bytes.labels(model, version).set(file_bytes)
        for provider, count in nodes.items():
            self.model_nodes.labels(model, version, provider).set(count)
        self.model_threads.labels(model, version).set(threads)

    def tell_drift(self, found: Drifted) -> None:
        """How features and answers have drifted; what was told before and is gone has not."""
        gone = {place: dict.fromkeys(figures, 0.0) for place, figures in self._drifted.items() if place not in found}
        for place, figures in {**gone, **found}.items():
            for name, value in figures.items():
                self.drift[name].labels(*place).set(value)
        self._drifted = found

    def tell_keys(self, expiries: Mapping[str, float]) -> None:
        """When keys end, by name; one that was told before and is gone ends never."""
        for name in self._keys - set(expiries):
            self.key_expiry.labels(name).set(math.inf)
        for name, seconds in expiries.items():
            self.key_expiry.labels(name).set(seconds)
        self._keys |= set(expiries)

    def tell_store(self, store: str, up: bool, looked_at: float, incomplete: int) -> None:
        """How its mirror does. looked_at: in seconds since 1970. incomplete: versions that are not taken."""
        self.store_up.labels(store).set(up)
        self.store_looked.labels(store).set(looked_at)
        self.store_incomplete.labels(store).set(incomplete)

    def refuse_connection(self, status: int) -> None:
        """Count one."""
        self.refused_connections.labels(str(status)).inc()

    def flush(self) -> None:
        """Put what the tallies hold into the series; on the event loop, whose they are."""
        for tally in self.unflushed:
            tally.flush()
        self.unflushed.clear()

    def measure_process(self) -> None:
        """Take this process's memory; called now and then, since a scrape reaches one worker only."""
        self.resident_bytes.set(psutil.Process().memory_info().rss)

    async def exposition(self) -> bytes:
        """All series in Prometheus's text format, of every worker."""
        self.flush()
        return await asyncio.to_thread(self._exposition)

    def _exposition(self) -> bytes:
        self.measure_process()
        return generate_latest(_Exposed(self._collect))

    async def statistics(self) -> dict[tuple[str, int], Statistics]:
        """Model and version -> what it has done, over all workers."""
        self.flush()
        return await asyncio.to_thread(self._statistics)

    def _statistics(self) -> dict[tuple[str, int], Statistics]:
        found: dict[tuple[str, int], Statistics] = defaultdict(Statistics)
        for metric in self._collect():
            for sample in metric.samples:
                if sample.labels.keys() >= {*VERSION}:
                    place = sample.labels["model"], int(sample.labels["version"])
                    found[place].add(sample.name, sample.labels, sample.value)
        return found

    async def collect(self) -> list[Metric]:
        """Every series, summed over all workers."""
        self.flush()
        return await asyncio.to_thread(lambda: [*self._collect()])

    def _collect(self) -> Iterable[Metric]:
        """Reads a file of every worker."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self._registry.collect()
        collected: Iterable[Metric] = MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
        return collected


class _Exposed(Collector):
    """What a scrape sees."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return (metric for metric in self._collect() if not metric.name.startswith(UNEXPOSED))
