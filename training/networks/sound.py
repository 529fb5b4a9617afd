"""Sounds by their spectrogram, which is part of the graph: a convolution with waves, mel bands, a logarithm.

A Fourier transform is a matrix, so a convolution takes it, the same in PyTorch and in every ONNX runtime.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

FAINTEST = 1e-5
"""The level that a sound counts as at least, of 1, so that silence has one."""


class LogMel(nn.Module):
    """sound (rows, samples) -> (rows, bands, frames): the logarithm of its power by frequency and time.

    The sound is brought to a level of 1 first, so how loud it was does not count. rate: samples a second; window, step:
    samples of a frame, and from one to the next; floor: power that is added, where 1 is that of white noise.
    """

    waves: Tensor
    bands: Tensor

    def __init__(self, *, rate: int, window: int, step: int, bands: int, floor: float) -> None:
        super().__init__()
        self.step, self.floor = step, floor
        self.register_buffer("waves", waves(window))
        self.register_buffer("bands", mel_bands(bands, window // 2 + 1, rate))

    def forward(self, sound: Tensor) -> Tensor:
        level = sound.square().mean(dim=1, keepdim=True).sqrt() + FAINTEST  # (rows, 1)
        waving = conv1d((sound / level).unsqueeze(1), self.waves, stride=self.step)  # (rows, 2 * bins, frames)
        power = waving.square().unflatten(1, (2, -1)).sum(dim=1)  # (rows, bins, frames)
        logs: Tensor = (torch.matmul(self.bands, power) + self.floor).log()  # (rows, bands, frames)
        return logs


def waves(window: int) -> Tensor:
    """(2 * bins, 1, window): cosines, then sines, under a Hann window; in each, white noise of level 1 has a mean power
    of 1 over both."""
    angles = 2 * math.pi * torch.arange(window // 2 + 1).unsqueeze(1) * torch.arange(window).double() / window
    hann = torch.hann_window(window, dtype=torch.float64)
    both = torch.cat([angles.cos(), angles.sin()]) * hann / hann.square().sum().sqrt()
    return both.unsqueeze(1).float()


def mel_bands(bands: int, bins: int, rate: int) -> Tensor:
    """(bands, bins): triangles over the bins up to rate / 2, equally wide in mel, each with a sum of 1.

    Source: O'Shaughnessy, Speech Communication, 1987, for the mel.
    """
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, bands + 2).double() / 2595) - 1)  # in Hz
    frequency = torch.linspace(0, rate / 2, bins).double()
    low, middle, high = (edges[at : at + bands].unsqueeze(1) for at in range(3))
    triangles = torch.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)).clamp_min(0)
    return (triangles / triangles.sum(dim=1, keepdim=True)).float()


class SoundNet(nn.Module):
    """clip (rows, samples) -> logits (rows, classes), by residual convolutions over the spectrogram.

    channels: of the first convolution and of each block behind it; all halve the picture.
    Source: He et al., Deep Residual Learning, 2016, made small.
    """

    def __init__(
        self,
        _: Mapping[str, Tensor],
        targets: Tensor,
        *,
        rate: int,
        window: int,
        step: int,
        bands: int,
        floor: float,
        channels: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.log_mel = LogMel(rate=rate, window=window, step=step, bands=bands, floor=floor)
        self.scaled = nn.BatchNorm1d(bands)
        self.blocks = nn.Sequential(
            nn.Conv2d(1, channels[0], kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
            *(Residual(incoming, outgoing) for incoming, outgoing in pairwise(channels)),
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * channels[-1], int(targets.max()) + 1)

    def forward(self, clip: Tensor) -> Tensor:
        seen = self.scaled(self.log_mel(clip)).unsqueeze(1)  # (rows, 1, bands, frames)
        found = self.blocks(seen)  # (rows, channels, bands / 2 ** blocks, frames / 2 ** blocks)
        everywhere = torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)  # (rows, 2 * channels)
        logits: Tensor = self.output(self.dropout(everywhere))  # (rows, classes)
        return logits


class Residual(nn.Module):
    """(rows, incoming, height, width) -> (rows, outgoing, height / 2, width / 2): what two convolutions find, on top of
    what was there."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.found = nn.Sequential(
            nn.Conv2d(incoming, outgoing, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(),
            nn.Conv2d(outgoing, outgoing, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
        )
        self.kept = nn.Sequential(
            nn.Conv2d(incoming, outgoing, kernel_size=1, stride=2, bias=False), nn.BatchNorm2d(outgoing)
        )

    def forward(self, given: Tensor) -> Tensor:
        return torch.relu(self.found(given) + self.kept(given))
