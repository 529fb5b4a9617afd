"""A recipe: everything that makes one model, as values. The steps of a run take these values and never a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pkgutil import iter_modules

from torch import Tensor, nn

from training import recipes, reproducible
from training.baselines import Baseline
from training.datasets.dataset import Dataset, Rows
from training.errors import UnknownRecipe, UnusableRecipe
from training.evaluate import predict
from training.fit import Augment, History, Loss, fit
from training.metrics import Measure
from training.networks.served import Head, Served, as_it_is
from training.verify import check_probabilities


@dataclass(frozen=True)
class Trained:
    """served: the network with its head, as it is exported."""

    dataset: Dataset
    served: Served
    history: History
    seed: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """In the order of the run.

    network:   built from the training split's inputs and targets, so that its scaling is fitted on them alone.
    head:      turns the network's output into the answer that is served.
    measures:  of the test split; the first is the one that the verdict and the curves are about.
    baseline:  made from the training and the validation split.
    patience:  epochs without a lower validation loss before training stops.
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
    augment: Augment | None = None
    network: Callable[[Mapping[str, Tensor], Tensor], nn.Module]
    loss: Loss
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    patience: int
    seed: int = 42

    head: Head = as_it_is
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

    def train(self, dataset: Dataset, seed: int) -> Trained:
        """The same seed gives the same weights. Raises NotProbabilities before it trains what lacks a head."""
        reproducible.start(seed)
        served = self.untrained(dataset)
        validation = dataset.validation
        if dataset.target.labels:
            check_probabilities(predict(served, validation), dataset.target.labels)
        history = fit(
            served.network,
            dataset.train,
            validation,
            loss=self.loss,
            score=lambda: self.measures[0].of(predict(served, validation), validation.targets.numpy()),
            augment=self.augment,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            seed=seed,
        )
        return Trained(dataset, served, history, seed)

    def untrained(self, dataset: Dataset) -> Served:
        """What is served, before it has learnt anything: to be filled with saved weights."""
        return Served(self.network(dataset.train.inputs, dataset.train.targets), self.head)

    def settings(self) -> dict[str, str | int | float | bool | None]:
        """What training depends on, beside the seed and the data, in words and numbers."""
        return {
            "augment": _in_words(self.augment) if self.augment else None,
            "network": _in_words(self.network),
            "loss": _in_words(self.loss),
            "optimiser": "AdamW",
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "patience": self.patience,
            "head": _in_words(self.head),
        }


def names() -> list[str]:
    """The recipes there are: one a module, with hyphens for its underscores."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(recipes.__path__))


def load(name: str) -> Recipe:
    """Raises UnknownRecipe, naming the known ones, or UnusableRecipe, naming the file and what is wrong in it."""
    if name not in names():
        raise UnknownRecipe(f"no recipe {name!r}; there are {', '.join(names())}")
    module = f"training.recipes.{name.replace('-', '_')}"
    file = f"{module.replace('.', '/')}.py"
    try:
        recipe = getattr(import_module(module), "recipe", None)
    except Exception as error:
        raise UnusableRecipe(f"{file}: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise UnusableRecipe(f"{file}: no `recipe = Recipe(...)` in it")
    return recipe


def _in_words(part: Callable[..., object]) -> str:
    """`ConvNet(channels=16)` for partial(ConvNet, channels=16), `MSELoss` for MSELoss()."""
    if not isinstance(part, partial):
        return str(getattr(part, "__name__", type(part).__name__))
    return f"{_in_words(part.func)}({', '.join(f'{key}={value!r}' for key, value in part.keywords.items())})"
