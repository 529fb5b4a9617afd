"""The held-out test split, looked at once: the network's metrics beside those of a simple baseline."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from app.manifest import Evaluation, Metric, Slice
from training.baselines import Baseline
from training.datasets.dataset import Dataset, Rows
from training.errors import NotAccepted
from training.fit import ROWS_AT_ONCE
from training.metrics import Array, Measure
from training.networks.served import Served

Some = NDArray[np.int64]
"""Rows by their places; one may come twice."""

BOOTSTRAP_SAMPLES = 1000
FIGURE_DIGITS = 6
"""Of a figure in the manifest. Chance has a say in the third; sums in another order differ in the eighth where they are
of float32, and one more version would be published for that."""

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


Thresholds = tuple[float | None, float | None]
"""From which the network and the baseline answer the second label; None for the likelier one."""


@dataclass(frozen=True)
class Look:
    """The test split and what is answered to it: ours by the network, theirs by the baseline, `baseline` in words.

    groups: in words -> which of the rows belong to it.
    blocks: as `Dataset`'s; None if every row is one.
    """

    ours: Array
    theirs: Array
    targets: Array
    baseline: str
    thresholds: Thresholds = (None, None)
    groups: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    blocks: NDArray[np.int64] | None = None

    def network(self, measure: Measure) -> Callable[[Some], float]:
        """The network's figure by rows."""
        return _by_rows(measure, self.thresholds[0], self.ours, self.targets)

    def simple(self, measure: Measure) -> Callable[[Some], float]:
        """The baseline's figure by rows."""
        return _by_rows(measure, self.thresholds[1], self.theirs, self.targets)

    def blocks_of(self, rows: Some) -> NDArray[np.int64] | None:
        """The block of each of these rows."""
        return None if self.blocks is None else self.blocks[rows]


def look(served: Served, baseline: Baseline, dataset: Dataset, thresholds: Thresholds = (None, None)) -> Look:
    """The one look at the test split."""
    test = dataset.test
    given = (predict(served, test), baseline.predict(test), test.targets.numpy())
    return Look(*given, baseline.description, thresholds, dataset.groups, dataset.blocks)


def evaluate(seen: Look, measures: Sequence[Measure]) -> Evaluation:
    """measures: the first is the one that the verdict and the figures by group are about."""
    everything = np.arange(len(seen.targets))
    metrics = tuple(_metric(measure, seen, everything) for measure in measures)
    blocks = None if seen.blocks is None else len(np.unique(seen.blocks))
    judgement = verdict(metrics[0], advantage(measures[0], seen), seen.baseline, len(seen.targets), blocks)
    slices = tuple(_slice(group, measures[0], seen, np.flatnonzero(rows)) for group, rows in seen.groups.items())
    return Evaluation(baseline=seen.baseline, metrics=metrics, verdict=judgement, slices=slices)


def _metric(measure: Measure, seen: Look, rows: Some) -> Metric:
    figure = seen.network(measure)
    between = interval(lambda drawn: figure(rows[drawn]), len(rows), seen.blocks_of(rows))
    return Metric(
        name=measure.name,
        model=_rounded(figure(rows)),
        baseline=_rounded(seen.simple(measure)(rows)),
        higher_is_better=measure.higher_is_better,
        interval=between and (_rounded(between[0]), _rounded(between[1])),
    )


def _rounded(figure: float) -> float:
    """To FIGURE_DIGITS, so that the same fit gives the same manifest whatever the order its sums were made in."""
    return float(f"{figure:.{FIGURE_DIGITS}g}")


def _slice(group: str, measure: Measure, seen: Look, rows: Some) -> Slice:
    found = _metric(measure, seen, rows)
    return Slice(group=group, rows=len(rows), model=found.model, baseline=found.baseline, interval=found.interval)


def advantage(measure: Measure, seen: Look) -> tuple[float, float]:
    """How much better ours is, as a 95 % interval over bootstrap samples of the rows or blocks; above 0 is better."""
    sign = 1 if measure.higher_is_better else -1
    ours, theirs = seen.network(measure), seen.simple(measure)
    return _spread(lambda rows: sign * (ours(rows) - theirs(rows)), len(seen.targets), seen.blocks)


def _by_rows(measure: Measure, threshold: float | None, outputs: Array, targets: Array) -> Callable[[Some], float]:
    """The figure of chosen rows; from what each row gives, where that is known, since rankings are large."""
    if measure.each is None:
        return lambda rows: measure.at(threshold, outputs[rows], targets[rows])
    each = measure.each(outputs, targets)
    return lambda rows: float(each[rows].mean())


def interval(
    figure: Callable[[Some], float], rows: int, blocks: NDArray[np.int64] | None = None
) -> tuple[float, float] | None:
    """95 % of what the figure is over bootstrap samples of the rows, or of the blocks; None where they are too few."""
    count = rows if blocks is None else len(np.unique(blocks))
    return _spread(figure, rows, blocks) if count >= FEWEST_ROWS else None


def _spread(figure: Callable[[Some], float], rows: int, blocks: NDArray[np.int64] | None) -> tuple[float, float]:
    figures = [figure(sample) for sample in _samples(rows, blocks)]
    low, high = np.quantile(figures, (0.025, 0.975))
    return float(low), float(high)


def _samples(rows: int, blocks: NDArray[np.int64] | None) -> Iterator[Some]:
    """Rows as often as chance has it, a block with all its rows. blocks: (rows,), the number of each row's."""
    random = np.random.default_rng(0)
    if blocks is None:
        yield from (random.integers(rows, size=rows) for _ in range(BOOTSTRAP_SAMPLES))
        return
    order = np.argsort(blocks, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1)
    for _ in range(BOOTSTRAP_SAMPLES):
        yield np.concatenate([members[one] for one in random.integers(len(members), size=len(members))])


def verdict(metric: Metric, interval: tuple[float, float], baseline: str, rows: int, blocks: int | None = None) -> str:
    """blocks: how many the rows make; None where every row is one."""
    told = f"{metric.name} {metric.model:.4g} against {metric.baseline:.4g} for {baseline}"
    over = f"{rows} rows" + (f" in {blocks} blocks" if blocks else "")
    if (blocks or rows) < FEWEST_ROWS:
        return f"{told}: {over} are too few to tell more"
    low, high = interval
    if low > 0:
        judgement = "better than the baseline beyond chance"
    elif high < 0:
        judgement = "worse than the baseline beyond chance; prefer the baseline"
    else:
        judgement = "a tie, the difference being within chance; the baseline would serve as well"
    return f"{told}: {judgement} (95 % interval of the advantage over {over}: {low:+.2g} to {high:+.2g})"


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
