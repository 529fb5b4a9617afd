"""A search over a recipe's own choices, by its first measure on the validation rows; the test rows are not looked at.

What is drawn, the recipe's file says in `search`. One network of an ensemble is fitted, before it is calibrated. The
study stays in runs/<recipe>/study.journal, and the next search goes on with it, unless the recipe, its data, what is
drawn or the seed are others by then. What is found lies in a folder of its own: a table, all trials, and pictures.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState

from training import plots, recipe, run, study
from training.datasets.dataset import Dataset
from training.errors import Diverged, UnusableRecipe
from training.fit import Epoch, History, Watch
from training.metrics import Measure
from training.recipe import Recipe, Search
from training.report import markdown

MOST_TRIALS_TOLD = 10
MOST_PARAMETERS_TOLD = 8
"""In the table, those that matter most; all are in search.json."""

FILE = "study.journal"

SETTINGS, OWN = "settings", "the recipe as it is"
"""Attributes of a trial and of the study."""


@dataclass(frozen=True)
class Own:
    """The recipe as it is, by the measure. seconds: that its fit took."""

    value: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """trials: that ended, the best first. broken: of those, how many were broken off. importances: of parameters, the
    largest first; empty where there are too few trials. changes: setting -> what the recipe has, and what the best has.
    folder: where all of it lies. interrupted: by somebody, before its time was over.
    """

    name: str
    measure: Measure
    rows: int
    seed: int
    own: Own
    trials: Sequence[FrozenTrial]
    broken: int
    importances: Mapping[str, float]
    changes: Mapping[str, tuple[object, object]]
    folder: Path
    interrupted: bool

    def text(self) -> str:
        """Markdown."""
        best, measure = self.trials[0].value or 0.0, self.measure.name
        is_better = best > self.own.value if self.measure.higher_is_better else best < self.own.value
        verdict = f"The best has {best:.4g}, the recipe as it is {self.own.value:.4g}."
        return "\n\n".join(
            [
                f"# {self.name}: a search",
                f"{measure} of {self.rows:,} validation rows, {self._better()} is better, seed {self.seed}. "
                f"{len(self.trials)} trials came to their end, {self.broken} were broken off as hopeless.",
                self._table(),
                verdict + (f" What it has that the recipe has not:\n\n{self._changes()}" if is_better else ""),
                f"The best of many is lucky too. Values that are to stay go into {recipe.file_of(self.name)}, and "
                f"`python -m training folds {self.name}` says whether they hold on other rows.",
            ]
        )

    def _better(self) -> str:
        return "higher" if self.measure.higher_is_better else "lower"

    def _table(self) -> str:
        names = [*(self.importances or self.trials[0].params)][:MOST_PARAMETERS_TOLD]
        lines: list[Sequence[str]] = [("trial", self.measure.name, "epochs", "s", *names)]
        for one in self.trials[:MOST_TRIALS_TOLD]:
            drawn = (_short(one.params.get(name, "")) for name in names)
            lines.append(
                (str(one.number), f"{one.value:.4f}", str(one.user_attrs[study.EPOCHS]), f"{_seconds(one):.1f}", *drawn)
            )
        own = (OWN, f"{self.own.value:.4f}", str(self.own.epochs), f"{self.own.seconds:.1f}", *("" for _ in names))
        return markdown([*lines, own])

    def _changes(self) -> str:
        return markdown(
            [("setting", "recipe", "best"), *((name, _short(a), _short(b)) for name, (a, b) in self.changes.items())]
        )


def search(name: str, runs: Path, *, seconds: float, trials: int | None, seed: int | None) -> Found:
    """Goes on with the recipe's study, or begins it; for seconds and trials see `study.search`.

    Raises NotSearchable, or Diverged where no trial gave a number.
    """
    whole, draw = recipe.load(name), recipe.load_search(name)
    dataset, seed = run.dataset_of(whole), whole.seed if seed is None else seed
    searched = Searched(name, whole, draw, dataset, seed)
    higher_is_better, interrupted = whole.measures[0].higher_is_better, False
    with study.kept(runs / name / FILE, searched.identity(), higher_is_better, study.warm_up(whole.steps)) as kept:
        try:
            searched.measure_own(kept)
            study.search(kept, searched.tried, _score, seconds=seconds, trials=trials, seed=seed)
        except KeyboardInterrupt:
            interrupted = True
        found = searched.found(kept, run.new_folder(name, runs), interrupted)
        _save(found, kept)
    return found


@dataclass(frozen=True)
class Searched:
    """A recipe, and how its choices are drawn."""

    name: str
    recipe: Recipe
    draw: Search
    dataset: Dataset
    seed: int

    def identity(self) -> str:
        """The study's name, by all that a trial's value depends on beside what is drawn."""
        asked = study.begin(higher_is_better=True, warm_up=0).ask()
        self._drawn(asked)
        space = {name: distribution_to_json(one) for name, one in asked.distributions.items()}
        made_from = (self.recipe.made_from(self.dataset), self.recipe.measures[0].name, space, self.seed)
        return f"{self.name} {hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:8]}"

    def measure_own(self, kept: optuna.Study) -> None:
        """Once for a study: the recipe as it is."""
        if OWN not in kept.user_attrs:
            started = perf_counter()
            history = self._fit(self.recipe, None)
            own = Own(history.best.score, len(history.epochs), perf_counter() - started)
            kept.set_user_attr(OWN, asdict(own))

    def tried(self, trial: optuna.Trial, watch: Watch) -> History:
        drawn = self._drawn(trial)
        trial.set_user_attr(SETTINGS, drawn.settings())
        return self._fit(drawn, watch)

    def _drawn(self, trial: optuna.Trial) -> Recipe:
        file = recipe.file_of(self.name)
        try:
            drawn = self.draw(trial)
        except Exception as error:
            raise UnusableRecipe(f"{file}: search: {type(error).__name__}: {error}") from error
        if not isinstance(drawn, Recipe):
            raise UnusableRecipe(f"{file}: search gives {drawn!r}, wanted a Recipe")
        return drawn

    def _fit(self, one: Recipe, watch: Watch | None) -> History:
        alone = replace(one, members=1, calibrate=False, threshold=None)
        return alone.train(self.dataset, self.seed, watch=watch).history

    def found(self, kept: optuna.Study, folder: Path, interrupted: bool) -> Found:
        trials = study.whole(kept)
        if not trials or OWN not in kept.user_attrs:
            raise Diverged(f"no trial of {self.name} came to its end with a number; the next search goes on")
        theirs, ours = trials[0].user_attrs[SETTINGS], self.recipe.settings()
        return Found(
            name=self.name,
            measure=self.recipe.measures[0],
            rows=len(self.dataset.validation),
            seed=self.seed,
            own=Own(**kept.user_attrs[OWN]),
            trials=trials,
            broken=len(study.ended(kept)) - len(trials),
            importances=study.importances(kept),
            changes={setting: (ours[setting], theirs[setting]) for setting in ours if ours[setting] != theirs[setting]},
            folder=folder,
            interrupted=interrupted,
        )


def _score(epoch: Epoch) -> float:
    return epoch.score


def _save(found: Found, kept: optuna.Study) -> None:
    folder = found.folder
    folder.mkdir(parents=True)
    (folder / "search.md").write_text(found.text() + "\n")
    all_trials = [_told(trial) for trial in kept.get_trials(deepcopy=False)]
    (folder / "search.json").write_text(json.dumps({"study": kept.study_name, "trials": all_trials}, indent=2) + "\n")
    measure, ended = found.measure, study.ended(kept)
    values = {one.number: one.value for one in found.trials if one.value is not None}
    broken = [one.number for one in ended if one.state == TrialState.PRUNED]
    plots.history(values, broken, measure.name, measure.higher_is_better, found.own.value).savefig(
        folder / "history.png", dpi=120
    )
    by_weight = [*(found.importances or found.trials[0].params)][: plots.MOST_SLICES]
    space = found.trials[0].distributions
    drawn = {name: _of(name, space[name], found.trials) for name in by_weight if name in space}
    logarithmic = {name for name, one in space.items() if isinstance(one, FloatDistribution) and one.log}
    if drawn:
        pictured = plots.slices(drawn, logarithmic, measure.name, measure.higher_is_better, found.own.value)
        pictured.savefig(folder / "slices.png", dpi=120)
    if found.importances:
        label = f"share in what sets the best trials apart, by {measure.name}"
        plots.importance(found.importances, label).savefig(folder / "importance.png", dpi=120)


def _of(name: str, drawn_from: BaseDistribution, trials: Sequence[FrozenTrial]) -> list[tuple[float | str, float]]:
    """What was drawn, categories as texts and in their order, and what it gave."""
    pairs = [(one.params[name], one.value) for one in trials if name in one.params and one.value is not None]
    if not isinstance(drawn_from, CategoricalDistribution):
        return pairs
    ordered = sorted(pairs, key=lambda pair: drawn_from.choices.index(pair[0]))
    return [(str(value), given) for value, given in ordered]


def _told(trial: FrozenTrial) -> dict[str, object]:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "seconds": _seconds(trial),
        "params": trial.params,
        **trial.user_attrs,
    }


def _seconds(trial: FrozenTrial) -> float:
    return round(trial.duration.total_seconds(), 1) if trial.duration else 0.0


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
