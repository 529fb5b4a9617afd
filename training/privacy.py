"""Differential privacy of the training rows, by Opacus: each row's gradient is clipped, and noise covers what is left.

Source: Abadi et al., Deep Learning with Differential Privacy, 2016. The epsilon is that of all steps of the fit, by
Renyi accounting; an early stop spends less. Validation rows, which choose the epoch, and what is fitted beside the
gradients (the scaling of the inputs) are not covered.

Opacus is imported by the first private fit: it takes a second that most commands need not wait for.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

ORDERS = [1 + tenth / 10 for tenth in range(1, 100)] + list(range(11, 64)) + [2**power for power in range(6, 15)]
"""Of the Renyi divergence; the best bound over these holds."""


@dataclass(frozen=True)
class Privacy:
    """epsilon, delta: the bound that the whole fit keeps. clip: the largest norm of one row's gradient."""

    epsilon: float
    delta: float
    clip: float = 1.0


class Private:
    """A network and its optimiser, made private. batch: rows of one, on average."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        privacy: Privacy,
        *,
        rows: int,
        batch: int,
        epochs: int,
    ) -> None:
        from opacus import GradSampleModule
        from opacus.accountants.utils import get_noise_multiplier
        from opacus.optimizers import DPOptimizer

        self._privacy, self._share, self._rows = privacy, min(1.0, batch / rows), rows
        self._noise = get_noise_multiplier(
            target_epsilon=privacy.epsilon,
            target_delta=privacy.delta,
            sample_rate=self._share,
            steps=epochs * self._steps,
            accountant="rdp",
            alphas=ORDERS,
        )
        self.network = GradSampleModule(network)
        self.optimiser = DPOptimizer(
            optimiser, noise_multiplier=self._noise, max_grad_norm=privacy.clip, expected_batch_size=batch
        )

    @property
    def _steps(self) -> int:
        """Of an epoch."""
        return round(1 / self._share)

    def batches(self, generator: Generator) -> list[Tensor]:
        """The rows of each batch of an epoch: every row is in each of them with the same chance, which the accounting
        rests on. One without rows is left out."""
        drawn = (torch.rand(self._rows, generator=generator) < self._share for _ in range(self._steps))
        return [index for chosen in drawn if len(index := chosen.nonzero().squeeze(1))]

    @staticmethod
    def backward(loss: Tensor) -> None:
        """The gradients of each row."""
        with warnings.catch_warnings():  # Opacus hooks into layers whose inputs are data and want no gradient
            warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
            loss.backward()

    def spent(self, epochs: int) -> float:
        """The epsilon after so many epochs."""
        from opacus.accountants import RDPAccountant

        accountant = RDPAccountant()
        accountant.history = [(self._noise, self._share, epochs * self._steps)]
        return float(accountant.get_epsilon(self._privacy.delta, alphas=ORDERS))
