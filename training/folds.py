"""k-fold cross-validation: how much does it matter which rows are learnt from, for a network and its baseline?

Over the train and validation rows together; the test rows are not looked at. Each fold is held out once. The others are
divided into train and validation as the data set is, so early stopping, calibration, thresholds and the baseline's
choices never see the rows that are measured. Rows are taken to be independent of each other: days in a row are not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from tqdm import tqdm

from training.datasets.dataset import SPLIT_SEED, Dataset, Rows, together
from training.errors import UnfitDataset
from training.metrics import Array, Measure
from training.report import markdown

Fitted = tuple[Callable[[Rows], Array], float | None]
"""rows -> outputs, and the threshold from which the second label is answered, where there is one."""

Method = Callable[[Dataset], Fitted]
"""Made from a data set's train and validation rows."""


@dataclass(frozen=True)
class Figure:
    """A measure of every fold."""

    name: str
    higher_is_better: bool
    network: tuple[float, ...]
    baseline: tuple[float, ...]


@dataclass(frozen=True)
class Folds:
    """baseline: in words. rows: train and validation together."""

    recipe: str
    seed: int
    rows: int
    seconds: float
    figures: tuple[Figure, ...]

    def text(self) -> str:
        folds = len(self.figures[0].network)
        return (
            f"# {self.recipe}: {folds}-fold cross-validation\n\n{self._table()}\n\n"
            f"Mean and standard deviation over {folds} folds of {self.rows:,} train and validation rows, seed "
            f"{self.seed}, {self.seconds:.1f} s. The advantage is counted fold by fold, above 0 where the network is "
            "better. The test rows were not looked at.\n"
        )

    def _table(self) -> str:
        lines = [("metric", "network", "baseline", "advantage", "better is")]
        for one in self.figures:
            sign = 1 if one.higher_is_better else -1
            gains = [sign * (ours - theirs) for ours, theirs in zip(one.network, one.baseline, strict=True)]
            better = "higher" if one.higher_is_better else "lower"
            lines.append((one.name, _spread(one.network), _spread(one.baseline), _spread(gains, "+"), better))
        return markdown(lines)


def cross_validate(
    dataset: Dataset, folds: int, measures: Sequence[Measure], network: Method, baseline: Method
) -> tuple[Figure, ...]:
    """Raises UnfitDataset if a label has too few rows for so many folds."""
    network_of: dict[str, list[float]] = {measure.name: [] for measure in measures}
    baseline_of: dict[str, list[float]] = {measure.name: [] for measure in measures}
    for part in tqdm(parts(dataset, folds), total=folds, desc="folds", unit="fold", disable=None):
        targets = part.test.targets.numpy()
        for method, figures in ((network, network_of), (baseline, baseline_of)):
            predict, threshold = method(part)
            outputs = predict(part.test)
            for measure in measures:
                figures[measure.name].append(measure.at(threshold, outputs, targets))
    return tuple(
        Figure(one.name, one.higher_is_better, tuple(network_of[one.name]), tuple(baseline_of[one.name]))
        for one in measures
    )


def parts(dataset: Dataset, folds: int, seed: int = SPLIT_SEED) -> Iterator[Dataset]:
    """The data set with each fold of its train and validation rows as its test rows; stratified where it has labels."""
    rows = together(dataset.train, dataset.validation)
    strata = rows.targets.numpy().astype(int) if dataset.target.labels else None
    if strata is not None and (fewest := np.bincount(strata).min()) < 2 * folds:
        raise UnfitDataset(f"{folds} folds want {2 * folds} rows of each label or more, one has {fewest}")
    cut = KFold if strata is None else StratifiedKFold
    share = len(dataset.validation) / len(rows)
    for rest, held in cut(folds, shuffle=True, random_state=seed).split(np.arange(len(rows)), strata):
        train, validation = train_test_split(
            rest, test_size=share, random_state=seed, stratify=None if strata is None else strata[rest]
        )
        yield replace(
            dataset, train=_take(rows, train), validation=_take(rows, validation), test=_take(rows, held), groups={}
        )


def save(folds: Folds, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "folds.md").write_text(folds.text())
    (folder / "folds.json").write_bytes(TypeAdapter(Folds).dump_json(folds, indent=2) + b"\n")


def _take(rows: Rows, index: NDArray[np.int64]) -> Rows:
    return rows.take(torch.from_numpy(np.sort(index)))


def _spread(values: Sequence[float], sign: str = "") -> str:
    return f"{np.mean(values):{sign}.4f} ± {np.std(values, ddof=1):.4f}"
