"""Every Prometheus series of the service: its name, unit and labels.

One `Metrics` belongs to one app. With several workers the supervisor sets PROMETHEUS_MULTIPROC_DIR before they start;
prometheus-client then keeps every value in a file there and a scrape of any worker adds up all of them.
"""

import os

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ModelMetrics:
    """The series of one model, labels already bound."""

    def __init__(self, owner: "Metrics", model: str) -> None:
        self.queue_seconds = owner.queue_seconds.labels(model)
        self.compute_seconds = owner.compute_seconds.labels(model)
        self.batch_rows = owner.batch_rows.labels(model)
        self.queue_rows = owner.queue_rows.labels(model)


class Metrics:
    """All series; `exposition` is what GET /metrics answers."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_requests_total",
            "Requests answered, by model (empty where the path names none that exists), protocol and HTTP status.",
            ("model", "protocol", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "headrace_request_seconds",
            "From the first byte of the request to the last of the answer.",
            ("model", "protocol"),
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "headrace_queue_seconds",
            "From entering the model's queue to the start of the run.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self.compute_seconds = Histogram(
            "headrace_compute_seconds",
            "One run of the graph, whatever the number of requests in it.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "headrace_batch_rows",
            "Rows in one run; sum divided by count is the mean batch size.",
            ("model",),
            buckets=ROWS,
            registry=registry,
        )
        self.queue_rows = Gauge(
            "headrace_queue_rows",
            "Rows that wait for a run.",
            ("model",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.model_ready = Gauge(
            "headrace_model_ready",
            "1 where the model version serves, 0 where it does not; the least over all workers.",
            ("model", "version"),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.resident_bytes = Gauge(
            "headrace_process_resident_memory_bytes",
            "Resident memory of a serving process.",
            multiprocess_mode="liveall",
            registry=registry,
        )

    def measure_process(self) -> None:
        """Take this process's memory; called now and then, since a scrape reaches one worker only."""
        self.resident_bytes.set(psutil.Process().memory_info().rss)

    def exposition(self) -> bytes:
        """All series in Prometheus's text format, of every worker."""
        self.measure_process()
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
