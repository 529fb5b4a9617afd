"""The held-out test split, looked at once: the network's metrics beside those of a simple baseline."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from app.manifest import Evaluation, Metric
from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.errors import NotAccepted
from training.metrics import Array, Measure
from training.networks.served import Served

BOOTSTRAP_SAMPLES = 1000
FEWEST_ROWS = 30
"""Below this an interval says nothing."""


@torch.no_grad()
def predict(served: Served, rows: Rows) -> Array:
    """The answers to these rows, as they will be when served."""
    served.eval()
    outputs: Array = served(dict(rows.inputs)).numpy()
    return outputs


def evaluate(served: Served, baseline: Baseline, test: Rows, measures: Sequence[Measure]) -> Evaluation:
    """measures: the first is the one that the verdict is about."""
    ours, theirs, targets = predict(served, test), baseline.predict(test), test.targets.numpy()
    metrics = tuple(
        Metric(
            name=measure.name,
            model=measure.of(ours, targets),
            baseline=measure.of(theirs, targets),
            higher_is_better=measure.higher_is_better,
        )
        for measure in measures
    )
    judgement = verdict(metrics[0], advantage(measures[0], ours, theirs, targets), baseline.description, len(test))
    return Evaluation(baseline=baseline.description, metrics=metrics, verdict=judgement)


def advantage(measure: Measure, ours: Array, theirs: Array, targets: Array) -> tuple[float, float]:
    """How much better ours is, as a 95 % interval over bootstrap samples of the rows; above 0 is better."""
    random = np.random.default_rng(0)
    sign = 1 if measure.higher_is_better else -1
    samples = random.integers(len(targets), size=(BOOTSTRAP_SAMPLES, len(targets)))
    gains = [sign * (measure.of(ours[s], targets[s]) - measure.of(theirs[s], targets[s])) for s in samples]
    low, high = np.quantile(gains, (0.025, 0.975))
    return float(low), float(high)


def verdict(metric: Metric, interval: tuple[float, float], baseline: str, rows: int) -> str:
    told = f"{metric.name} {metric.model:.4g} against {metric.baseline:.4g} for {baseline}"
    if rows < FEWEST_ROWS:
        return f"{told}: {rows} rows are too few to tell more"
    low, high = interval
    if low > 0:
        judgement = "better than the baseline beyond chance"
    elif high < 0:
        judgement = "worse than the baseline beyond chance; prefer the baseline"
    else:
        judgement = "a tie, the difference being within chance; the baseline would serve as well"
    return f"{told}: {judgement} (95 % interval of the advantage over {rows} rows: {low:+.2g} to {high:+.2g})"


def check(metrics: Sequence[Metric], accept: Mapping[str, float]) -> None:
    """Raises NotAccepted naming every metric outside its bound: a least for some, a most for others."""
    by_name = {metric.name: metric for metric in metrics}
    misses = [
        f"{name} {by_name[name].model:.4g}, wanted {bound:g} or {'more' if by_name[name].higher_is_better else 'less'}"
        for name, bound in accept.items()
        if not _within(by_name[name], bound)
    ]
    if misses:
        raise NotAccepted("; ".join(misses))


def _within(metric: Metric, bound: float) -> bool:
    return metric.model >= bound if metric.higher_is_better else metric.model <= bound
