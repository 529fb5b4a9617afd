"""The held-out test split, looked at once: the network's metrics beside those of a simple baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from app.manifest import Evaluation, Metric
from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.errors import NotAccepted
from training.fit import ROWS_AT_ONCE
from training.metrics import Array, Measure
from training.networks.served import Served

BOOTSTRAP_SAMPLES = 1000
FEWEST_ROWS = 30
"""Below this an interval says nothing."""


@torch.no_grad()
def predict(served: Served, rows: Rows) -> Array:
    """All answers to these rows together, as they are measured."""
    served.eval()
    parts = [served.outputs(dict(rows.take(index).inputs)) for index in torch.arange(len(rows)).split(ROWS_AT_ONCE)]
    outputs: Array = torch.cat(parts).numpy()
    return outputs


@torch.no_grad()
def answers(served: Served, rows: Rows) -> list[Array]:
    """Each answer to these rows, as the graph gives it."""
    served.eval()
    return [answer.numpy() for answer in served(dict(rows.inputs))]


@dataclass(frozen=True)
class Look:
    """The test split and what is answered to it: ours by the network, theirs by the baseline, `baseline` in words."""

    ours: Array
    theirs: Array
    targets: Array
    baseline: str


def look(served: Served, baseline: Baseline, test: Rows) -> Look:
    """The one look at the test split."""
    return Look(predict(served, test), baseline.predict(test), test.targets.numpy(), baseline.description)


def evaluate(seen: Look, measures: Sequence[Measure]) -> Evaluation:
    """measures: the first is the one that the verdict is about."""
    metrics = tuple(_metric(measure, seen) for measure in measures)
    judgement = verdict(metrics[0], advantage(measures[0], seen), seen.baseline, len(seen.targets))
    return Evaluation(baseline=seen.baseline, metrics=metrics, verdict=judgement)


def _metric(measure: Measure, seen: Look) -> Metric:
    return Metric(
        name=measure.name,
        model=measure.of(seen.ours, seen.targets),
        baseline=measure.of(seen.theirs, seen.targets),
        higher_is_better=measure.higher_is_better,
        interval=interval(_of_rows(measure, seen.ours, seen.targets), len(seen.targets)),
    )


def advantage(measure: Measure, seen: Look) -> tuple[float, float]:
    """How much better ours is, as a 95 % interval over bootstrap samples of the rows; above 0 is better."""
    sign = 1 if measure.higher_is_better else -1
    ours, theirs = (_of_rows(measure, given, seen.targets) for given in (seen.ours, seen.theirs))
    return _spread(lambda rows: sign * (ours(rows) - theirs(rows)), len(seen.targets))


def _of_rows(measure: Measure, outputs: Array, targets: Array) -> Callable[[NDArray[np.int64]], float]:
    """The figure of chosen rows; from what each row gives, where that is known, since rankings are large."""
    if measure.each is None:
        return lambda rows: measure.of(outputs[rows], targets[rows])
    each = measure.each(outputs, targets)
    return lambda rows: float(each[rows].mean())


def interval(figure: Callable[[NDArray[np.int64]], float], rows: int) -> tuple[float, float] | None:
    """95 % of what the figure is over bootstrap samples of the rows; None where they are too few to say."""
    return _spread(figure, rows) if rows >= FEWEST_ROWS else None


def _spread(figure: Callable[[NDArray[np.int64]], float], rows: int) -> tuple[float, float]:
    random = np.random.default_rng(0)
    figures = [figure(random.integers(rows, size=rows)) for _ in range(BOOTSTRAP_SAMPLES)]
    low, high = np.quantile(figures, (0.025, 0.975))
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
