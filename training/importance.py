"""What an answer rests on, by Captum: which features a measure needs, and which pixels speak for an answer."""

from collections.abc import Mapping

import torch
from captum.attr import FeaturePermutation, IntegratedGradients
from torch import Tensor

from training.datasets.dataset import Dataset, Rows
from training.evaluate import predict
from training.metrics import Array, Measure
from training.networks.served import Served

MOST_ROWS = 2000

SHUFFLES = 3

STEPS = 32
"""Of an integral over the way from black to the picture."""


def shuffled(dataset: Dataset, served: Served, measure: Measure) -> dict[str, float]:
    """Feature -> how much worse the measure is when its values are shuffled between validation rows, the mean of
    SHUFFLES. Source: Breiman, Random Forests, 2001, section 10."""
    rows = dataset.validation.take(torch.arange(min(MOST_ROWS, len(dataset.validation))))
    names, sign = list(rows.inputs), 1 if measure.higher_is_better else -1
    width = {name: tensor.shape[1:] for name, tensor in rows.inputs.items()}

    def figure(*tensors: Tensor) -> Tensor:
        given = predict(served, Rows(dict(zip(names, tensors, strict=True)), rows.targets))
        return torch.tensor([sign * measure.of(given, rows.targets.numpy())])

    torch.manual_seed(0)
    permuting, inputs = FeaturePermutation(figure), tuple(rows.inputs[name] for name in names)
    masks, features = _masks(dataset, width)
    total = dict.fromkeys(features, 0.0)
    for _ in range(SHUFFLES):
        lost = torch.cat([one.flatten() for one in permuting.attribute(inputs, feature_mask=masks)])
        places = torch.cat([mask.flatten() for mask in masks])
        for number, name in enumerate(features):
            total[name] += float(lost[places == number][0]) / SHUFFLES
    return total


def _masks(dataset: Dataset, shapes: Mapping[str, torch.Size]) -> tuple[tuple[Tensor, ...], list[str]]:
    """For each tensor, of one row, the number of the feature that each element belongs to; and the features' names.

    shapes: of the network's inputs, without the rows. What is in no columns is made of texts, (columns, ...).
    """
    masks: list[Tensor] = []
    features: list[str] = []
    for name, shape in shapes.items():
        columns = dataset.columns.get(name) or next(dataset.columns[text] for text in dataset.train.texts)
        first = len(features)
        features += [column.name for column in columns]
        if name not in dataset.columns:
            masks.append(torch.arange(first, len(features))[None, :, None].expand(1, *shape))
        elif columns[0].shape:
            masks.append(torch.full((1, *columns[0].shape), first))
        else:
            masks.append(torch.arange(first, len(features))[None])
    return tuple(masks), features


def gradients(served: Served, rows: Rows, classes: Tensor) -> Array:
    """Of rows of one image each, how far every pixel speaks for a class (rows,): the gradient along the way from black,
    times the pixel. Source: Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017."""
    [(name, images)] = rows.inputs.items()
    served.eval()
    integral = IntegratedGradients(lambda image: served.outputs({name: image}))
    heat: Array = integral.attribute(images, target=classes, n_steps=STEPS).detach().numpy()
    return heat
