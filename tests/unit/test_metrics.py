"""What the series count, and that there is an end to how many of them there are."""

import asyncio

from app.metrics import Metrics
from app.tally import ModelTally


def test_runs_of_ever_new_sizes_make_no_end_of_series() -> None:
    metrics = Metrics()
    model = ModelTally(metrics, "m", 1)
    for rows in (1, 1024, 1025, 2000, 2048, 2049, 3000):
        model.run(rows, 1, 0.5, 0.5, 0.5)
    done = asyncio.run(metrics.statistics())["m", 1]
    assert {rows: spent["count"] for rows, spent in done.batches.items()} == {1: 1, 1024: 1, 2048: 3, 4096: 2}
    assert done.batches[2048]["infer"] == 1.5
    assert (done.runs, done.rows) == (7, 1 + 1024 + 1025 + 2000 + 2048 + 2049 + 3000)
