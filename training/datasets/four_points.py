"""Four points of one number each: odd ones are 1, even ones are 0. Small enough to follow every weight by hand."""

import torch

from training.datasets.dataset import Column, Dataset, Rows, Target, fingerprint


def load() -> Dataset:
    points = Rows({"features": torch.tensor([[1.0], [2.0], [3.0], [4.0]])}, torch.tensor([1.0, 0.0, 1.0, 0.0]))
    return Dataset(
        name="Four points",
        source="written out in training/datasets/four_points.py",
        licence="none needed: eight numbers",
        sha256=fingerprint(points.inputs["features"].numpy(), points.targets.numpy()),
        columns={"features": (Column("x", "A number; 1, 2, 3 and 4 were learnt", minimum=0, maximum=5),)},
        target=Target("y", "1 for an odd x, 0 for an even one", labels=("0", "1")),
        split="none: train, validation and test are the same four points; the figures show memory, not skill",
        train=points,
        validation=points,
        test=points,
    )
