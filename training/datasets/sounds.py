"""Sounds of the same thing, heard a little differently each time; every draw comes from the given generator.

All take and give sounds (rows, samples) from -1 to 1. A sound's stretch is what lies between its first and its last
sample that is not 0.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from training.datasets.dataset import Rows

STEEPEST = 2.0
"""How fast the power of noise falls with frequency, at most: 0 for white, 1 for pink, 2 for red."""

LOWEST = 0.01
"""Share of the highest frequency below which noise falls no more."""

KNOTS = 8
"""Of the line by which a tone control raises and lowers frequencies."""


def heard_elsewhere(
    rows: Rows,
    generator: Generator,
    *,
    speed: float,
    tone_decibels: float,
    noise_decibels: tuple[float, float],
    decibels: tuple[float, float],
) -> Rows:
    """Each sound somewhere else in its clip, faster or slower, through another microphone, in noise that may stop, at
    another level.

    rows: one input, sounds. speed, tone_decibels: as in `placed` and `toned`. noise_decibels, decibels: from and to.
    """
    [(name, sounds)] = rows.inputs.items()
    count = len(sounds)
    said = toned(placed(sounds, generator, speed=speed), generator, decibels=tone_decibels)
    noisy = in_noise(said, between(*noise_decibels, count, generator), generator, stops=True)
    return Rows({name: at_level(noisy, between(*decibels, count, generator))}, rows.targets)


def placed(sounds: Tensor, generator: Generator, *, speed: float = 0.0) -> Tensor:
    """Each stretch anywhere in its clip, played up to exp(speed) times as fast or as slow, pitch and all.

    Between samples it is a straight line; what is too long for the clip ends with it.
    """
    count, size = sounds.shape
    there = sounds != 0
    first = there.int().argmax(dim=1, keepdim=True)  # (rows, 1)
    length = size - there.flip(1).int().argmax(dim=1, keepdim=True) - first
    factor = between(-speed, speed, count, generator).exp().unsqueeze(1)
    start = (size - length / factor).clamp_min(0) * torch.rand(count, 1, generator=generator)
    start = start if speed else start.floor()  # a sample stays a sample
    place = (torch.arange(size) - start) * factor  # (rows, samples), counted from `first`
    inside = (place >= 0) & (place <= length - 1)
    source = (place + first).clamp(0, size - 1)
    below = source.floor().long()
    share = source - below
    above = (below + 1).clamp_max(size - 1)
    return torch.where(inside, sounds.gather(1, below) * (1 - share) + sounds.gather(1, above) * share, 0.0)


def toned(sounds: Tensor, generator: Generator, *, decibels: float) -> Tensor:
    """Frequencies raised or lowered by up to so many decibels, along a line of KNOTS points: another microphone, room
    or throat."""
    count, size = sounds.shape
    spectrum = torch.fft.rfft(sounds)
    points = decibels * between(-1, 1, count * KNOTS, generator).reshape(count, 1, KNOTS)
    gain = interpolate(points, spectrum.shape[1], mode="linear", align_corners=True).squeeze(1)
    changed: Tensor = torch.fft.irfft(spectrum * 10 ** (gain / 20), size)
    return changed.clamp(-1, 1)


def in_noise(sounds: Tensor, decibels: Tensor, generator: Generator, *, stops: bool = False) -> Tensor:
    """In noise whose power is so many decibels, (rows,), below that of the clip; of any colour from white to red.

    stops: in half of the clips it ends somewhere in the second half, as a short sound does that is filled with silence.
    """
    count, size = sounds.shape
    spectrum = torch.fft.rfft(torch.randn(count, size, generator=generator))
    bins = spectrum.shape[1]
    slope = between(0, STEEPEST, count, generator).unsqueeze(1)
    noise: Tensor = torch.fft.irfft(spectrum * torch.arange(bins).clamp_min(LOWEST * bins) ** (-slope / 2), size)
    wanted = sounds.square().mean(dim=1) * 10 ** (-decibels / 10)
    noise = noise * (wanted / noise.square().mean(dim=1)).sqrt().unsqueeze(1)
    if stops:
        ends = size * between(0.5, 1.5, count, generator).unsqueeze(1)
        noise = torch.where(torch.arange(size) < ends, noise, 0.0)
    return (sounds + noise).clamp(-1, 1)


def at_level(sounds: Tensor, decibels: Tensor) -> Tensor:
    """So many decibels louder, (rows,); what goes beyond full scale is cut there."""
    louder: Tensor = sounds * 10 ** (decibels / 20).unsqueeze(1)
    return louder.clamp(-1, 1)


def between(low: float, high: float, count: int, generator: Generator) -> Tensor:
    """(count,), each as likely anywhere from low to high."""
    return low + (high - low) * torch.rand(count, generator=generator)
