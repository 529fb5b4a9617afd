"""The brief's formulas by hand against torch's autograd, also where the brief's own arithmetic is wrong."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, mse_loss

Y = torch.tensor([1.0, 0.0, 1.0, 0.0])
P = torch.tensor([0.9, 0.1, 0.8, 0.2])


def test_cross_entropy_of_the_briefs_example_is_a_sixth_and_not_what_it_prints() -> None:
    by_hand = -sum(y * math.log(p) + (1 - y) * math.log(1 - p) for y, p in zip(Y.tolist(), P.tolist(), strict=True)) / 4

    assert by_hand == pytest.approx(0.16425, abs=5e-6)
    assert binary_cross_entropy(P, Y).item() == pytest.approx(by_hand, abs=1e-6)
    assert abs(by_hand - 0.4153) > 0.25


def test_mean_squared_error_is_the_mean_of_the_squared_differences() -> None:
    by_hand = sum((y - p) ** 2 for y, p in zip(Y.tolist(), P.tolist(), strict=True)) / 4

    assert by_hand == pytest.approx(0.025, abs=1e-6)
    assert mse_loss(P, Y).item() == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.parametrize(("w", "x", "y"), [(0.5, 2.0, 3.0), (-1.0, 3.0, 1.0), (2.0, -1.5, 0.25)])
def test_the_gradient_of_half_the_squared_error_is_minus_the_error_times_x(w: float, x: float, y: float) -> None:
    weight = torch.tensor(w, requires_grad=True)
    ((y - weight * x) ** 2 / 2).backward()

    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(-(y - w * x) * x)


def test_a_gradient_step_moves_against_the_gradient_and_lowers_the_loss() -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    before = (3 - weight * 2) ** 2 / 2
    before.backward()
    torch.optim.SGD([weight], lr=0.1).step()

    assert weight.item() == pytest.approx(0.5 - 0.1 * -(3 - 0.5 * 2) * 2)
    assert (3 - weight * 2) ** 2 / 2 < before


def test_back_propagation_by_hand_through_two_sigmoid_layers_is_autograds() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), Y.unsqueeze(1)
    w1, b1, w2, b2 = (torch.randn(shape, generator=generator) for shape in ((1, 2), (2,), (2, 1), (1,)))

    by_hand = two_layer_gradients(x, y, w1, b1, w2, b2)

    weights = [weight.requires_grad_() for weight in (w1, b1, w2, b2)]
    binary_cross_entropy(torch.sigmoid(torch.sigmoid(x @ w1 + b1) @ w2 + b2), y).backward()
    for weight, gradient in zip(weights, by_hand, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


def two_layer_gradients(x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, ...]:
    """Of the mean cross-entropy: the sigmoid's slope cancels in the output layer and stays in the hidden one."""
    h = torch.sigmoid(x @ w1 + b1)  # (rows, hidden)
    p = torch.sigmoid(h @ w2 + b2)  # (rows, 1)
    d2 = (p - y) / len(x)  # (rows, 1)
    d1 = d2 @ w2.T * h * (1 - h)  # (rows, hidden)
    return x.T @ d1, d1.sum(dim=0), h.T @ d2, d2.sum(dim=0)
