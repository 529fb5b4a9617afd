"""A recipe: everything that makes one model, as values. The steps of a run take these values and never a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, cast

import optuna
import torch
from torch import Tensor, nn

from training import recipes, reproducible
from training.answers import Answer, of_target, split_into
from training.baselines import Baseline
from training.calibrate import fit_temperature
from training.datasets.dataset import Dataset, Rows
from training.errors import NotSearchable, UnknownRecipe, UnusableRecipe
from training.evaluate import predict
from training.fit import History, Steps, Watch, fit
from training.metrics import Array, Measure
from training.networks.served import Head, Served, as_it_is
from training.pretrain import Pretraining, carry_over
from training.processes import ALONE, Processes
from training.verify import check_probabilities


@dataclass(frozen=True)
class Trained:
    """served: the networks with their head, as they are exported. history: of the first of them.

    threshold: the probability of the second label from which on it is answered; None for the likelier one.
    """

    dataset: Dataset
    served: Served
    history: History
    seed: int
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """In the order of the run.

    network:   built from the training split's inputs and targets, so that its scaling is fitted on them alone.
    pretrain:  what it learns before that, and goes on from.
    steps:     how it is fitted.
    members:   networks of seeds one behind the other, whose answers are averaged in one graph.
    head:      turns a network's output into the answer that is served.
    calibrate: divide the logits by a temperature, which is fitted on the validation split.
    threshold: chooses from validation's probabilities and classes; see `Trained`.
    answers:   the outputs of the graph; empty for the one that the target is.
    measures:  of the test split; the first is the one that the verdict and the curves are about.
    baseline:  made from the training and the validation split.
    accept:    metric -> the bound without which nothing is published.
    tolerance: the largest difference between PyTorch and onnxruntime that is let through.
    card:      more to say about the trained model, in Markdown.
    withheld:  why this model is never published; empty for those that are.
    Raises ValueError if `accept` bounds a metric that is not among the measures.
    """

    title: str
    task: str
    description: str
    intended_use: str
    limits: str

    dataset: Callable[[], Dataset]
    network: Callable[[Mapping[str, Tensor], Tensor], nn.Module]
    pretrain: Pretraining | None = None
    steps: Steps
    seed: int = 42
    members: int = 1

    head: Head = as_it_is
    calibrate: bool = False
    threshold: Callable[[Array, Array], float] | None = None
    answers: tuple[Answer, ...] = ()
    measures: tuple[Measure, ...]
    baseline: Callable[[Rows, Rows], Baseline]
    accept: Mapping[str, float]
    tolerance: float = 1e-5
    card: Callable[[Trained], str] | None = None
    withheld: str = ""

    def __post_init__(self) -> None:
        measured = [measure.name for measure in self.measures]
        if unknown := [metric for metric in self.accept if metric not in measured]:
            raise ValueError(f"accept bounds {', '.join(unknown)}, wanted some of {', '.join(measured)}")

    def train(
        self,
        dataset: Dataset,
        seed: int,
        folder: Path | None = None,
        *,
        watch: Watch | None = None,
        processes: Processes = ALONE,
    ) -> Trained:
        """The same seed gives the same weights. Raises NotProbabilities before it trains what lacks a head.

        folder: where the state of each member and of its pre-training is kept, so that a killed training goes on.
        watch, processes: see `fit`; the first is told of the recipe's own data alone.
        """
        reproducible.start(seed)
        served = self.untrained(dataset)
        validation = dataset.validation
        if self.answers_of(dataset)[0].kind == "probabilities":
            check_probabilities(predict(served, validation), dataset.target.labels)
        first = self.pretrain.dataset() if self.pretrain else None
        histories = []
        for number, member in enumerate(served.members, start=1):
            if number > 1:
                torch.manual_seed(seed + number - 1)
            if first:
                state = _file(folder, f"pretraining-{number}.pt")
                self._pretrain(member, first, seed + number - 1, state, processes)
            state = _file(folder, f"member-{number}.pt")
            histories.append(self._fit(member, dataset, self.steps, seed + number - 1, state, watch, processes))
        if self.calibrate:
            fit_temperature(served, validation)
        threshold = self.threshold_of(partial(predict, served), validation)
        return Trained(dataset, served, histories[0], seed, threshold)

    def _pretrain(self, member: nn.Module, first: Dataset, seed: int, state: Path | None, processes: Processes) -> None:
        assert self.pretrain
        taught = self.network(first.train.inputs, first.train.targets)
        self._fit(taught, first, self.pretrain.steps, seed, state, None, processes)
        carry_over(taught, member, frozen=self.pretrain.frozen)

    def _fit(
        self,
        network: nn.Module,
        dataset: Dataset,
        steps: Steps,
        seed: int,
        state: Path | None,
        watch: Watch | None,
        processes: Processes,
    ) -> History:
        alone = Served([network], self.head, split_into(self.answers_of(dataset)))
        return fit(
            network,
            dataset.train,
            dataset.validation,
            steps,
            score=partial(_score, self.measures[0], alone, dataset.validation),
            seed=seed,
            state=state,
            watch=watch,
            processes=processes,
        )

    def threshold_of(self, predict: Callable[[Rows], Array], validation: Rows) -> float | None:
        """The one that suits a method best, chosen on validation; None where the likelier label is answered."""
        return self.threshold(predict(validation), validation.targets.numpy()) if self.threshold else None

    def untrained(self, dataset: Dataset) -> Served:
        """What is served, before it has learnt anything: to be filled with saved weights."""
        members = [self.network(dataset.train.inputs, dataset.train.targets) for _ in range(self.members)]
        return Served(members, self.head, split_into(self.answers_of(dataset)), calibrated=self.calibrate)

    def answers_of(self, dataset: Dataset) -> tuple[Answer, ...]:
        """The outputs of the graph, in order."""
        return self.answers or of_target(dataset.target)

    def settings(self) -> dict[str, str | int | float | bool | None]:
        """What training depends on, beside the seed and the data, in words and numbers."""
        return {
            "network": _in_words(self.network),
            **self._pretraining(),
            "optimiser": "AdamW",
            **_steps_in_words(self.steps),
            "members": self.members,
            "head": _in_words(self.head),
            "calibrate": self.calibrate,
            "threshold": _in_words(self.threshold) if self.threshold else None,
        }

    def _pretraining(self) -> dict[str, str | int | float | bool | None]:
        if self.pretrain is None:
            return {}
        return {
            "pretrain_rows": _in_words(self.pretrain.dataset),
            "pretrain_frozen": self.pretrain.frozen,
            **{f"pretrain_{name}": value for name, value in _steps_in_words(self.pretrain.steps).items()},
        }

    def made_from(self, dataset: Dataset) -> dict[str, str | int | float | bool | None]:
        """What weights that are trained on this data set depend on, beside the seed."""
        return self.settings() | self.pretrain_data() | dataset.identity()

    def pretrain_data(self) -> dict[str, str]:
        """What it is pre-trained on, which is loaded for that; empty where it is not."""
        return {"pretrain_data": self.pretrain.data()} if self.pretrain else {}


def _file(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder else None


Search = Callable[[optuna.Trial], Recipe]
"""A recipe with values that are drawn from a trial."""


def _score(measure: Measure, served: Served, validation: Rows) -> float:
    return measure.of(predict(served, validation), validation.targets.numpy())


def names() -> list[str]:
    """The recipes there are: one a module, with hyphens for its underscores."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(recipes.__path__))


def load(name: str) -> Recipe:
    """Raises UnknownRecipe, naming the known ones, or UnusableRecipe, naming the file and what is wrong in it."""
    recipe = _in_file_of(name, "recipe")
    if not isinstance(recipe, Recipe):
        raise UnusableRecipe(f"{file_of(name)}: no `recipe = Recipe(...)` in it")
    return recipe


def load_search(name: str) -> Search:
    """What the recipe's file says beside it. Raises NotSearchable, saying how it would, or as `load`."""
    search = _in_file_of(name, "search")
    if not callable(search):
        raise NotSearchable(
            f"{file_of(name)}: no `def search(trial: optuna.Trial) -> Recipe` in it, which returns the recipe with "
            "values drawn from the trial; training/recipes/diabetes.py has one"
        )
    return cast(Search, search)


def file_of(name: str) -> str:
    """Where a recipe is written."""
    return f"training/recipes/{name.replace('-', '_')}.py"


def _in_file_of(name: str, variable: str) -> object:
    if name not in names():
        raise UnknownRecipe(f"no recipe {name!r}; there are {', '.join(names())}")
    try:
        return getattr(import_module(f"training.recipes.{name.replace('-', '_')}"), variable, None)
    except Exception as error:
        raise UnusableRecipe(f"{file_of(name)}: {type(error).__name__}: {error}") from error


def _in_words(part: Callable[..., object]) -> str:
    """`ConvNet(channels=16)` for partial(ConvNet, channels=16), `MSELoss` for MSELoss()."""
    if not isinstance(part, partial):
        return str(getattr(part, "__name__", type(part).__name__))
    return f"{_in_words(part.func)}({', '.join(f'{key}={value!r}' for key, value in part.keywords.items())})"


def _steps_in_words(steps: Steps) -> dict[str, str | int | float | bool | None]:
    return {one.name: _plain(getattr(steps, one.name)) for one in fields(steps)}


def _plain(value: Any) -> str | int | float | bool | None:
    """As JSON has it; anything else in words."""
    if isinstance(value, str | int | float | bool | None):
        return value
    return _in_words(value) if callable(value) else str(value)
