"""Pictures of the same thing, seen a little differently each epoch; every draw comes from the given generator."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.datasets.dataset import Rows


def shift_and_rotate(
    rows: Rows, generator: Generator, *, pixels: float, degrees: float, mirrored: bool = False
) -> Rows:
    """Each image moved by up to `pixels` and turned by up to `degrees`, either way; what comes in is background, 0.

    rows:     one input, images (rows, height, width).
    mirrored: every second image or so, left to right.
    """
    [(name, images)] = rows.inputs.items()
    count, *size = images.shape
    angle = math.radians(degrees) * _between_minus_one_and_one(count, generator)
    shift = [2 * pixels / side * _between_minus_one_and_one(count, generator) for side in reversed(size)]
    cos, sin = torch.cos(angle), torch.sin(angle)
    turned = _between_minus_one_and_one(count, generator) < 0 if mirrored else torch.zeros(count, dtype=torch.bool)
    hand = torch.where(turned, -1.0, 1.0)
    matrices = torch.stack([hand * cos, -sin, shift[0], hand * sin, cos, shift[1]], dim=1).reshape(count, 2, 3)
    grid = affine_grid(matrices, [count, 1, *size], align_corners=False)
    moved = grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)  # (rows, height, width)
    return Rows({name: moved}, rows.targets)


def _between_minus_one_and_one(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1
