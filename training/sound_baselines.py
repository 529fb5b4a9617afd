"""The simple way to tell words apart that are spoken alone: their spectrogram at a few times, and a linear model."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from training.baselines import Baseline, logistic_regression
from training.datasets.dataset import Rows
from training.networks.sound import LogMel

BANDS, TIMES = 20, 10

FAINT = 3.0
"""By how much less, as a natural logarithm of power, than its loudest frame a word's first and last frame have."""


def linear_on_log_mel(train: Rows, validation: Rows) -> Baseline:
    """Logistic regression on 20 mel bands at 10 times between the word's beginning and its end, by loudness."""
    simple = logistic_regression(_pooled(train), _pooled(validation))
    described = f"{simple.description} on {BANDS} mel bands at {TIMES} times of the word"
    return Baseline(described, lambda rows: simple.predict(_pooled(rows)))


def _pooled(rows: Rows) -> Rows:
    [sounds] = rows.inputs.values()
    log_mel = LogMel(rate=8000, window=256, step=80, bands=BANDS, floor=1e-3)
    parts = [_word(one) for some in sounds.split(256) for one in log_mel(some)]
    return Rows({"log_mel": torch.stack(parts)}, rows.targets)


def _word(seen: Tensor) -> Tensor:
    """(bands, frames) -> (bands, times): what lies between the first and the last frame that is not faint."""
    loudness = seen.exp().mean(dim=0).log()
    [frames] = torch.nonzero(loudness > loudness.max() - FAINT, as_tuple=True)
    return adaptive_avg_pool2d(seen[None, :, frames[0] : frames[-1] + 1], (BANDS, TIMES))[0]
