"""`python -m training new`: a recipe that works as it is written, and its test, to be changed from there."""

import keyword
import re
from pathlib import Path

from training.errors import UnusableRecipe
from training.recipe import names

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

RECIPE = '''"""Irises: which of three kinds, from four measurements. Change this line and all below into your own.

Expect: accuracy .97 on 30 rows held out; 2 s on one core. Say here what yours gives, over which seeds, and on what
machine. Source: a multilayer perceptron. Data: Fisher, 1936, out of scikit-learn.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.baselines import logistic_regression
from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words
from training.fit import Steps
from training.metrics import ACCURACY, CROSS_ENTROPY
from training.networks.scaling import Standardise
from training.networks.served import softmax
from training.recipe import Recipe

# One line for each feature, as a caller will see it: name, words, unit, and the range that is accepted.
COLUMNS = (
    Column("sepal_length", "Length of a sepal", "cm", minimum=0, maximum=20),
    Column("sepal_width", "Width of a sepal", "cm", minimum=0, maximum=20),
    Column("petal_length", "Length of a petal", "cm", minimum=0, maximum=20),
    Column("petal_width", "Width of a petal", "cm", minimum=0, maximum=20),
)


def load() -> Dataset:
    """Your data: arrays in, three parts out. When it grows, move it to a file in training/datasets/."""
    raw = load_iris()
    features, targets = raw.data.astype(np.float32), raw.target.astype(np.int64)
    rows = Rows({"features": torch.from_numpy(features)}, torch.from_numpy(targets))
    train, validation, test = divide(rows, targets)
    return Dataset(
        name="Irises (Fisher 1936)",
        source="scikit-learn, sklearn.datasets.load_iris",
        licence="shipped in scikit-learn under BSD-3-Clause",
        sha256=fingerprint(features, targets),
        columns={"features": COLUMNS},
        target=Target("kind", "Kind of iris", labels=tuple(map(str, raw.target_names))),
        split=split_in_words("kind"),
        train=train,
        validation=validation,
        test=test,
    )


class Network(nn.Module):
    """features (rows, columns) -> logits (rows, classes). Scaling is a layer, so that it goes into the graph."""

    def __init__(self, inputs: Mapping[str, Tensor], targets: Tensor, *, hidden: int) -> None:
        super().__init__()
        features, classes = inputs["features"], int(targets.max()) + 1
        self.scale = Standardise.fitted(features)
        self.layers = nn.Sequential(nn.Linear(features.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.scale(features))  # (rows, classes)
        return logits


recipe = Recipe(
    title="Irises: which of three kinds",
    task="classification",
    description="The kind of an iris from four measurements of its flower.",
    intended_use="A beginning: change it into a model of your own.",
    limits="150 flowers of one meadow. Another kind of flower is answered with one of these three all the same.",
    dataset=load,
    network=partial(Network, hidden=16),
    # The numbers of the run. Early stopping keeps the best epoch; `patience` is how long it waits for a better one.
    steps=Steps(loss=cross_entropy, epochs=300, batch_size=16, learning_rate=3e-3, weight_decay=0.1, patience=40),
    head=softmax,
    # The first measure is the one that the verdict is about; nothing is published outside the bounds of `accept`.
    measures=(ACCURACY, CROSS_ENTROPY),
    baseline=logistic_regression,
    accept={"accuracy": 0.85},
)
'''

TEST = '''"""The recipe {name}, trained once: as good as it promises. Its file is also tested by test_recipes.py."""

from training.evaluate import predict
from training.recipe import load


def test_{module}_learns_what_it_promises() -> None:
    recipe = load("{name}")
    dataset = recipe.dataset()
    trained = recipe.train(dataset, recipe.seed)

    measure = recipe.measures[0]
    found = measure.of(predict(trained.served, dataset.test), dataset.test.targets.numpy())
    assert found >= recipe.accept[measure.name]
'''


def begin(name: str, root: Path) -> list[Path]:
    """Writes both files below the root of a checkout and gives their places. Raises UnusableRecipe for a name that
    cannot be, or one that is taken."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UnusableRecipe(f"a recipe cannot be called {name!r}, wanted small letters, digits and hyphens: my-model")
    if not (root / "training/recipes").is_dir():
        raise UnusableRecipe(f"{root} has no training/recipes; start this at the root of a checkout")
    module = name.replace("-", "_")
    texts = {
        root / f"training/recipes/{module}.py": RECIPE,
        root / f"tests/unit/training/test_{module}.py": TEST.format(name=name, module=module),
    }
    if name in names() or any(file.exists() for file in texts):
        raise UnusableRecipe(f"there is a {name!r} already, and nothing is overwritten")
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return list(texts)
