"""An understood table to a recipe: baselines first, then the search, then what a run needs to know."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch.nn.functional import cross_entropy, mse_loss

from training.datasets.dataset import Dataset
from training.metrics import ACCURACY, AUC, CALIBRATION_ERROR, CROSS_ENTROPY, MAE, R2, RMSE, Measure
from training.networks.served import as_it_is, softmax
from training.networks.table import TableNetwork
from training.recipe import Recipe, Trained
from training.tables.baselines import Fitted, fit_baselines
from training.tables.dataset import CATEGORIES, NUMBERS, assemble, vocabulary_size
from training.tables.search import Choice, Search, search
from training.tables.understand import Understanding

FEWEST_FOR_AUC = 20
"""Test rows of the rarer class: with fewer, samples of the rows may have none of it."""

FEWEST_MISTAKES = 10
"""Of the better baseline on the validation rows, for a temperature to be told by: where next to nothing goes wrong, the
best one is the most confident one, whatever other rows are like. On scikit-learn's wine, fitted on 36 rows, it was the
least there is, and the held-out cross-entropy .167."""

MOST_COLUMNS_TOLD = 40
MOST_TRIALS_TOLD = 10


@dataclass(frozen=True)
class Made:
    """A recipe and how it was come by."""

    recipe: Recipe
    understood: Understanding
    search: Search
    baselines: Sequence[Fitted]

    def save(self, folder: Path) -> None:
        """What a later reader of the run wants to know, and the file that corrections start from."""
        (folder / "columns.txt").write_text(self.understood.text() + "\n")
        (folder / "columns.yaml").write_text(self.understood.as_file())
        trials = [asdict(trial) for trial in self.search.trials]
        (folder / "trials.json").write_text(json.dumps(trials, indent=2) + "\n")


def make(understood: Understanding, *, seconds: float, trials: int | None, seed: int) -> Made:
    """The recipe of the best network that the time was enough for."""
    dataset = assemble(understood)
    classes = len(dataset.target.labels)
    numbers, categories = dataset.columns.get(NUMBERS, ()), dataset.columns.get(CATEGORIES, ())
    dates = tuple(place for place, column in enumerate(numbers) if column.kind == "date")
    sizes = tuple(len(column.categories) for column in categories)
    vocabulary = vocabulary_size(dataset.reader)

    def network_of(choice: Choice) -> "partial[TableNetwork]":
        return partial(
            TableNetwork,
            dates,
            sizes,
            vocabulary,
            classes,
            hidden=choice.hidden,
            dropout=choice.dropout,
            bins=choice.bins,
        )

    baselines = fit_baselines(dataset.train, dataset.validation, dates=dates, vocabulary=vocabulary, classes=classes)
    found = search(
        dataset,
        lambda choice: network_of(choice)(dataset.train.inputs, dataset.train.targets),
        cross_entropy if classes else mse_loss,
        seconds=seconds,
        trials=trials,
        seed=seed,
    )
    said, aim = understood.corrections, understood.goal
    recipe = Recipe(
        title=said.title or f"{aim.name} of {understood.file}",
        task=("binary " if classes == 2 else "") + ("classification" if classes else "regression"),
        description=said.description or f"Predicts {aim.name!r} from {len(understood.used)} columns of a table.",
        intended_use=said.intended_use or "Rows of the same kind as those of the table, measured in the same way.",
        limits="Made from a table by a search; nobody chose the network by hand. It has learnt from "
        f"{len(dataset.train)} rows; those that come about in another way may be judged wrongly.",
        dataset=lambda: dataset,
        network=network_of(found.best.choice),
        steps=found.steps,
        seed=seed,
        head=softmax if classes else as_it_is,
        calibrate=_can_be_calibrated(dataset, baselines[0]),
        measures=_measures(dataset),
        baseline=lambda _train, _validation: baselines[0].baseline,
        accept=_accept(dataset),
        tolerance=1e-5 * (1 if classes else max(1.0, float(dataset.train.targets.abs().max()))),
        card=partial(_card, understood, found, baselines),
    )
    return Made(recipe, understood, found, baselines)


def _measures(dataset: Dataset) -> tuple[Measure, ...]:
    """The first is the one that the verdict is about."""
    if not dataset.target.labels:
        return (R2, RMSE, MAE)
    rarest = int(dataset.test.targets.bincount(minlength=len(dataset.target.labels)).min())
    ranked = (AUC,) if len(dataset.target.labels) == 2 and rarest >= FEWEST_FOR_AUC else ()
    return (*ranked, ACCURACY, CROSS_ENTROPY, CALIBRATION_ERROR)


def _accept(dataset: Dataset) -> dict[str, float]:
    """Better than the same answer for every row: of classes their shares, of a number its mean."""
    if not dataset.target.labels:
        return {"r2": 0.0}
    classes = dataset.test.targets
    shares = dataset.train.targets.bincount(minlength=len(dataset.target.labels)).double() / len(dataset.train)
    return {"cross_entropy": math.floor(-shares[classes].log().mean().item() * 1e4) / 1e4}


def _can_be_calibrated(dataset: Dataset, better: Fitted) -> bool:
    if not dataset.target.labels:
        return False
    given = better.baseline.predict(dataset.validation).argmax(axis=1)
    return int((given != dataset.validation.targets.numpy()).sum()) >= FEWEST_MISTAKES


def _card(understood: Understanding, found: Search, baselines: Sequence[Fitted], trained: Trained) -> str:
    """Markdown: the columns, the search and what was beaten, or not."""
    is_number = not understood.goal.labels
    loss = "root of the mean squared error" if is_number else "cross-entropy"
    best = found.best
    ours = math.sqrt(best.loss) if is_number else best.loss
    told = [(f"network: {best.choice.words()}", ours), *((one.baseline.description, one.loss) for one in baselines)]
    figures = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(told, key=lambda pair: pair[1]))
    notes = "\n".join(f"- {note}" for note in understood.notes)
    return "\n\n".join(
        part
        for part in (
            f"## Columns\n\n{_columns_table(understood)}",
            notes,
            f"## Search\n\nBy the {loss} of the validation rows, which chose:",
            f"| method | {loss} |\n| --- | --- |\n{figures}",
            f"{_trials_told(found)}\n\n{_trials_table(found, is_number)}",
            _calibrated(trained),
        )
        if part
    )


def _columns_table(understood: Understanding) -> str:
    rows = [
        f"| {_cell(one.name)} | {one.kind} | {_cell(one.range)} | {one.missing} | {_cell(one.why_not or 'yes')} |"
        for one in understood.columns[:MOST_COLUMNS_TOLD]
    ]
    more = len(understood.columns) - len(rows)
    head = "| column | kind | range or categories | missing | used |\n| --- | --- | --- | ---: | --- |\n"
    return head + "\n".join(rows) + (f"\n\nand {more} more." if more else "")


def _trials_told(found: Search) -> str:
    whole = [trial for trial in found.trials if math.isfinite(trial.loss)]
    broken = len(found.trials) - len(whole)
    return f"{len(whole)} networks were fitted" + (f", {broken} broke off" if broken else "") + "; the best of them:"


def _trials_table(found: Search, is_number: bool) -> str:
    best = sorted((trial for trial in found.trials if math.isfinite(trial.loss)), key=lambda trial: trial.loss)
    rows = [
        f"| {one.number} | {one.choice.words()} | {np.sqrt(one.loss) if is_number else one.loss:.4g} | {one.epochs} |"
        for one in best[:MOST_TRIALS_TOLD]
    ]
    return "| trial | network | loss | epochs |\n| ---: | --- | ---: | ---: |\n" + "\n".join(rows)


def _calibrated(trained: Trained) -> str:
    if not trained.served.calibrated:
        few = "Not calibrated: the validation rows hold too few mistakes to tell a temperature by."
        return few if trained.dataset.target.labels else ""
    return f"Calibrated on the validation rows: the logits are divided by {trained.served.temperature.item():.3g}."


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
