"""One training run from a recipe's name to `models/`: the only module that knows both the recipe and the steps.

Everything a run makes lies in runs/<recipe>/<time>/; `evaluate` and `export` pick it up from there.
"""

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from app.manifest import PAGE, Evaluation, Manifest, Parity
from training import checkpoint, folds, range_test, reproducible, transfer
from training.checkpoint import Checkpoint
from training.compress import Compressed, compress
from training.curves import curves
from training.datasets.dataset import Dataset, NotAName, Rows
from training.errors import NotTogether, ProcessLost, RunNotFound, TrainingFailed, UnfitDataset, UnusableRecipe
from training.evaluate import Look, answers, check, evaluate, look, predict
from training.export import export
from training.folds import Fitted, Folds
from training.page import Shown, page
from training.processes import ALONE, Processes
from training.publish import describe, publish, written
from training.recipe import Recipe, Trained, load
from training.report import Report, draw_curves, save
from training.verify import check_probabilities, verify

GOLDEN_ROWS, GOLDEN_NUMBERS = 4, 20_000
"""At most, but one row in any case: they are written in the manifest."""

CURVES = "curves.png"

BEGUN = "begun.json"
"""What a run was begun with, until it ends: it can go on while that is so."""


@dataclass(frozen=True)
class Run:
    """A trained network and where its files lie. seconds: that training took."""

    name: str
    recipe: Recipe
    trained: Trained
    folder: Path
    seconds: float


def fit(name: str, runs: Path, seed: int | None, processes: Processes = ALONE) -> Run:
    """Trains the recipe, by default with its own seed, and saves the run; in the first of several processes."""
    return fit_made(name, load(name), runs, seed, processes)


def fit_made(name: str, recipe: Recipe, runs: Path, seed: int | None, processes: Processes = ALONE) -> Run:
    """The same for a recipe that is in no module."""
    begun = Begun(name, recipe, dataset_of(recipe), recipe.seed if seed is None else seed)
    return _train(begun, new_folder(name, runs), processes)


def resume(name: str, runs: Path, folder: Path | None, processes: Processes = ALONE) -> Run:
    """Goes on with a run that did not end, by default the latest. Raises RunNotFound if there is none."""
    folder = folder or _latest(runs / name, BEGUN)
    recipe = load(name)
    begun = Begun(name, recipe, dataset_of(recipe), 0)
    told = json.loads((folder / BEGUN).read_text())
    if told["settings"] != recipe.made_from(begun.dataset):
        raise RunNotFound(f"{name} or its data have changed since the run in {folder} began; fit it again")
    return _train(replace(begun, seed=told["seed"]), folder, processes)


def assist(name: str, processes: Processes) -> None:
    """Takes part in the training that the first process makes, which alone says what came of it.

    Raises what goes wrong in this process alone.
    """
    told: tuple[int, dict[str, Any]] | None = None
    with suppress(ProcessLost):
        told = processes.agreed(told)
    if told is None:
        return
    seed, wanted = told
    recipe = load(name)
    begun = Begun(name, recipe, dataset_of(recipe), seed)
    if recipe.made_from(begun.dataset) != wanted:
        raise NotTogether(f"process {processes.rank} has another {name}, or other data, than the first process")
    with suppress(TrainingFailed, KeyboardInterrupt):
        recipe.train(begun.dataset, seed, processes=processes)


def finish(name: str, runs: Path) -> Run:
    """The latest run if it still fits the recipe; one that was killed goes on, and else a new one is made."""
    for way in (reopen, resume):
        with suppress(RunNotFound):
            return way(name, runs, None)
    return fit(name, runs, None)


def _train(begun: "Begun", folder: Path, processes: Processes) -> Run:
    recipe, started = begun.recipe, time.perf_counter()
    made_from = recipe.made_from(begun.dataset)
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{BEGUN}"
    hidden.write_text(json.dumps({"seed": begun.seed, "settings": made_from}))
    hidden.replace(folder / BEGUN)
    processes.agreed((begun.seed, made_from))
    trained = recipe.train(begun.dataset, begun.seed, folder, processes=processes)
    seconds = time.perf_counter() - started
    weights = trained.served.state_dict()
    saved = Checkpoint(weights, trained.history, trained.seed, made_from, seconds, trained.threshold)
    checkpoint.save(saved, folder)
    draw_curves(trained.history, recipe.title, recipe.measures[0], folder / CURVES)
    for left in (*folder.glob("*member-*.pt"), *folder.glob("*pretraining-*.pt"), folder / BEGUN):
        left.unlink()
    return Run(begun.name, recipe, trained, folder, seconds)


def cross_validate(name: str, runs: Path, count: int, seed: int | None) -> Folds:
    """Trains the recipe and its baseline once for each of so many folds, and saves the figures."""
    recipe, started = load(name), time.perf_counter()
    dataset = dataset_of(recipe)
    seed = recipe.seed if seed is None else seed

    def network(part: Dataset) -> Fitted:
        trained = recipe.train(part, seed)
        return partial(predict, trained.served), trained.threshold

    def baseline(part: Dataset) -> Fitted:
        simple = recipe.baseline(part.train, part.validation).predict
        return simple, recipe.threshold_of(simple, part.validation)

    figures = folds.cross_validate(dataset, count, recipe.measures, network, baseline)
    rows = len(dataset.train) + len(dataset.validation)
    found = Folds(name, seed, rows, time.perf_counter() - started, figures)
    folds.save(found, new_folder(name, runs))
    return found


def compare_transfer(name: str, runs: Path) -> str:
    """What the recipe's pre-training is worth, saved and as a table. Raises UnusableRecipe where it has none."""
    recipe = load(name)
    if recipe.pretrain is None:
        raise UnusableRecipe(f"{name} is not pre-trained; `pretrain` in its recipe says on what")
    folder = new_folder(name, runs)
    ways = {
        "from scratch": replace(recipe, pretrain=None),
        "body frozen": replace(recipe, pretrain=replace(recipe.pretrain, frozen=True)),
        "all fine-tuned": replace(recipe, pretrain=replace(recipe.pretrain, frozen=False)),
    }
    measured = {told: partial(_fine_tuned, way, folder) for told, way in ways.items()}
    table = transfer.compare(dataset_of(recipe), measured, recipe.measures[0])
    (folder / "transfer.md").write_text(f"{table}\n")
    return f"{table}\n\n{folder}"


def _fine_tuned(recipe: Recipe, folder: Path, dataset: Dataset, seed: int) -> float:
    """The first measure on validation. Of one seed the pre-training is done once, whatever follows."""
    kept = folder / f"seed-{seed}"
    kept.mkdir(parents=True, exist_ok=True)
    trained = recipe.train(dataset, seed, kept)
    for left in kept.glob("member-*.pt"):
        left.unlink()
    validation = dataset.validation
    return recipe.measures[0].of(predict(trained.served, validation), validation.targets.numpy())


def sweep_rates(name: str, runs: Path, seed: int | None) -> str:
    """Sweeps the learning rate of the recipe's network, saves the picture and says what is in it."""
    recipe = load(name)
    dataset = dataset_of(recipe)
    seed = recipe.seed if seed is None else seed
    reproducible.start(seed)
    network = recipe.network(dataset.train.inputs, dataset.train.targets)
    found = range_test.sweep(network, dataset.train, recipe.steps, seed)
    folder = new_folder(name, runs)
    range_test.save(found, recipe.title, recipe.steps.learning_rate, folder)
    return f"{found.words(recipe.steps.learning_rate)}\n{folder / 'range.png'}"


def new_folder(name: str, runs: Path) -> Path:
    """Where a run of this moment lies."""
    return runs / name / datetime.now().strftime("%Y%m%d-%H%M%S-%f")


@dataclass(frozen=True)
class Begun:
    """What a training starts from."""

    name: str
    recipe: Recipe
    dataset: Dataset
    seed: int


def dataset_of(recipe: Recipe) -> Dataset:
    """Raises UnfitDataset with what its loader stumbled over."""
    try:
        return recipe.dataset()
    except NotAName as error:
        raise UnfitDataset(str(error)) from error
    except Exception as error:
        raise UnfitDataset(f"the data set cannot be loaded: {type(error).__name__}: {error}") from error


def reopen(name: str, runs: Path, folder: Path | None) -> Run:
    """A saved run, by default the recipe's latest. Raises RunNotFound if there is none that still fits the recipe."""
    recipe = load(name)
    folder = folder or _latest(runs / name, checkpoint.FILE)
    saved = checkpoint.load(folder)
    reproducible.start(saved.seed)
    dataset = dataset_of(recipe)
    if saved.settings != recipe.made_from(dataset):
        raise RunNotFound(f"{name} or its data have changed since the run in {folder}; fit it again")
    served = recipe.untrained(dataset)
    try:
        served.load_state_dict(dict(saved.weights))
    except RuntimeError as error:
        raise RunNotFound(f"the network of {name} has changed since the run in {folder}; fit it again") from error
    trained = Trained(dataset, served, saved.history, saved.seed, saved.threshold)
    return Run(name, recipe, trained, folder, saved.seconds)


def seen(run: Run) -> Look:
    """The test split, once."""
    dataset, recipe = run.trained.dataset, run.recipe
    baseline = recipe.baseline(dataset.train, dataset.validation)
    thresholds = (run.trained.threshold, recipe.threshold_of(baseline.predict, dataset.validation))
    return look(run.trained.served, baseline, dataset, thresholds)


def compressed(run: Run) -> list[Compressed]:
    """The run's network in every smaller way, measured."""
    recipe, trained = run.recipe, run.trained
    return compress(trained.served, trained.dataset, recipe.steps, recipe.measures[0], trained.seed)


def conclude(run: Run, models: Path | None) -> Report:
    """Evaluates, exports, verifies and, with a place for models, publishes; the report says how far it came."""
    looked, parity, failed = seen(run), None, False
    evaluation = evaluate(looked, run.recipe.measures)
    card = run.recipe.card(run.trained) if run.recipe.card else ""
    try:
        parity = verified_graph(run)
        manifest = _manifest(run, evaluation, parity, card)
        told = page(manifest, _shown(run, looked))
        (run.folder / PAGE).write_text(told)
        (run.folder / "manifest.json").write_bytes(written(manifest, _graph(run).read_bytes()))
        check(evaluation.metrics, run.recipe.accept)
        outcome = _publish(run, manifest, told, models)
    except (TrainingFailed, OSError) as error:
        outcome, failed = f"Nothing published: {error}.", True
    report = _report(run, evaluation, parity, outcome, failed, card)
    save(report, run.folder)
    return report


def verified_graph(run: Run) -> Parity:
    """Writes the run's graph and holds it against the network on the test split."""
    dataset, served = run.trained.dataset, run.trained.served
    given = run.recipe.answers_of(dataset)
    if given[0].kind == "probabilities":
        check_probabilities(predict(served, dataset.test), dataset.target.labels)
    reader = dataset.reader.graph if dataset.reader else None
    _graph(run).write_bytes(export(served, dataset.test.inputs, [one.tensor for one in given], reader))
    return verify(_graph(run), served, dataset.test, run.recipe.tolerance)


def _publish(run: Run, manifest: Manifest, told: str, models: Path | None) -> str:
    """What came of it, in a sentence."""
    if run.recipe.withheld:
        return f"Never published: {run.recipe.withheld}."
    if models is None:
        return "Not published, as asked; all bounds hold."
    published = publish(_graph(run).read_bytes(), manifest, told, models)
    return f"Published as {published.folder}." if published.added else f"Unchanged: {published.folder} is this model."


def _shown(run: Run, looked: Look) -> Shown:
    dataset = run.trained.dataset
    return Shown(
        dataset,
        run.trained.served,
        run.recipe.answers_of(dataset),
        run.recipe.measures[0],
        looked.ours,
        looked.theirs,
        (run.folder / CURVES).read_bytes(),
    )


def _manifest(run: Run, evaluation: Evaluation, parity: Parity, card: str) -> Manifest:
    recipe, trained = run.recipe, run.trained
    words = {field: getattr(recipe, field) for field in ("title", "task", "description", "intended_use", "limits")}
    training = {
        "recipe": run.name,
        "seed": trained.seed,
        "epochs": len(trained.history.epochs),
        "best_epoch": trained.history.best_epoch,
        "epsilon": trained.history.epsilon,
        "settings": recipe.settings() | recipe.pretrain_data(),
        "versions": reproducible.versions(),
        "curves": curves(trained.history, recipe.measures[0].name),
    }
    golden = _some(trained.dataset.test)
    return describe(
        {"name": run.name, "card": card} | words,
        trained.dataset,
        evaluation,
        training,
        parity,
        recipe.answers_of(trained.dataset),
        trained.threshold,
        (golden, answers(trained.served, golden)),
        answers(trained.served, trained.dataset.validation),
    )


def _report(run: Run, evaluation: Evaluation, parity: Parity | None, outcome: str, failed: bool, card: str) -> Report:
    history, dataset = run.trained.history, run.trained.dataset
    return Report(
        recipe=run.name,
        title=run.recipe.title,
        folder=str(run.folder),
        seed=run.trained.seed,
        epochs=len(history.epochs),
        best_epoch=history.best_epoch,
        seconds=run.seconds,
        data=dataset.name,
        split=dataset.split,
        evaluation=evaluation,
        parity=parity,
        graph_bytes=_graph(run).stat().st_size if parity else None,
        outcome=outcome,
        failed=failed,
        card=card,
    )


def _latest(runs: Path, file: str) -> Path:
    """The newest run that has this file."""
    folders = sorted(found.parent for found in runs.glob(f"*/{file}"))
    if not folders:
        kind = "unfinished run" if file == BEGUN else "run"
        raise RunNotFound(f"no {kind} of {runs.name} in {runs.parent}; `fit {runs.name}` makes one")
    return folders[-1]


def _graph(run: Run) -> Path:
    return run.folder / "model.onnx"


def _some(rows: Rows) -> Rows:
    """A few rows, from one end to the other."""
    numbers = sum(tensor[0].numel() for tensor in rows.inputs.values())
    count = max(1, min(GOLDEN_ROWS, GOLDEN_NUMBERS // numbers))
    return rows.take(torch.linspace(0, len(rows) - 1, count).long())
