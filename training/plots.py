"""Pictures of a run for its page; each takes arrays and gives a figure."""

from collections.abc import Container, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.metrics import Array

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#6b7280"

MOST_LABELS = 25
"""Of a confusion matrix that can be read."""

MOST_POINTS = 2000

MOST_SLICES = 12

COLOURS = 10
"""Of a spectrogram."""

FAINTEST = 1e-6
"""Share of a spectrogram's greatest power below which all is one colour."""


def confusion(predicted: NDArray[np.int64], classes: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Rows of each true class, by the class that was answered; the colour is the share of its row."""
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (classes, predicted), 1)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = 2.5 + 0.45 * len(labels)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            dark = shares[row, column] > 0.5
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color="white" if dark else GREY)
    axes.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 3 else 0, ha="center")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    return figure


def calibration(curves: Mapping[str, tuple[Array, NDArray[np.bool_]]], bins: int = 10) -> Figure:
    """Share of hits over the probability that was answered, of several models: on the diagonal it means what it says.

    curves: name -> the probability of an event (rows,), and whether it came.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    for (name, (given, came)), colour in zip(curves.items(), (BLUE, ORANGE), strict=False):
        edges = np.unique(np.quantile(given, np.linspace(0, 1, bins + 1)))
        places = np.clip(np.searchsorted(edges, given, side="right") - 1, 0, max(0, len(edges) - 2))
        filled = np.unique(places)
        x = [given[places == one].mean() for one in filled]
        y = [came[places == one].mean() for one in filled]
        axes.plot(x, y, "o-", color=colour, label=name, markersize=5)
    axes.set_xlabel("probability answered")
    axes.set_ylabel("share that came true")
    axes.legend(frameon=False)
    return _plain(figure, axes)


def against_truth(predicted: Array, targets: Array, unit: str) -> Figure:
    """Predicted over true values, and the distribution of what is left."""
    shown = np.linspace(0, len(targets) - 1, min(len(targets), MOST_POINTS)).astype(int)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(targets[shown], predicted[shown], "o", color=BLUE, alpha=0.4, markersize=4, markeredgewidth=0)
    ends = [min(targets.min(), predicted.min()), max(targets.max(), predicted.max())]
    left.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":")
    left.set_xlabel(f"true {unit}".strip())
    left.set_ylabel(f"predicted {unit}".strip())
    right.hist(predicted - targets, bins=40, color=BLUE, alpha=0.7)
    right.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    right.set_xlabel(f"predicted - true {unit}".strip())
    right.set_ylabel("rows")
    _plain(figure, left)
    return _plain(figure, right)


def band(low: Array, middle: Array, high: Array, targets: Array, unit: str) -> Figure:
    """The first rows in their order: what came, in the band that was forecast."""
    rows = np.arange(min(len(targets), 150))
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(rows, low[rows], high[rows], color=BLUE, alpha=0.2, label="forecast band")
    axes.plot(rows, middle[rows], color=BLUE, label="forecast")
    axes.plot(rows, targets[rows], "o", color=ORANGE, markersize=3, label="what came")
    axes.set_xlabel("held-out rows, in order")
    axes.set_ylabel(unit)
    axes.legend(frameon=False)
    return _plain(figure, axes)


def importance(weights: Mapping[str, float], label: str) -> Figure:
    """How much each of these matters, the label says by what; the largest at the top."""
    names = sorted(weights, key=lambda name: weights[name])[-15:]
    figure = Figure(figsize=(7, 1 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, [weights[name] for name in names], color=BLUE)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel(label)
    return _plain(figure, axes)


def history(
    values: Mapping[int, float], broken: Sequence[int], measure: str, higher_is_better: bool, own: float
) -> Figure:
    """A search, trial by trial, with the best so far and what it began with. broken: trials that were broken off."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    numbers = sorted(values)
    given = np.array([values[number] for number in numbers])
    best = np.maximum.accumulate(given) if higher_is_better else np.minimum.accumulate(given)
    axes.plot(numbers, given, "o", color=BLUE, alpha=0.5, markersize=5, markeredgewidth=0, label="a trial")
    axes.step(numbers, best, where="post", color=BLUE, label="the best so far")
    axes.axhline(own, color=ORANGE, linestyle=":", label="the recipe as it is")
    low, high = _without_the_worst(given, own, higher_is_better)
    if broken:
        axes.plot(broken, np.full(len(broken), low), "|", color=GREY, markersize=9, label="broken off")
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(measure.replace("_", " "))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return _plain(figure, axes)


def slices(
    drawn: Mapping[str, Sequence[tuple[float | str, float]]],
    logarithmic: Container[str],
    measure: str,
    higher_is_better: bool,
    own: float,
) -> Figure:
    """For each parameter what it was, and what that gave.

    drawn: parameter -> (its value, the measure) of each trial; categories are texts, in their order.
    own:   the measure of what the search began with.
    """
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(3.2 * columns + 0.8, 2.8 * rows), layout="constrained")
    grid = np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False))
    for axes, (name, pairs) in zip(grid, drawn.items(), strict=False):
        values, given = zip(*pairs, strict=True)
        axes.plot(values, given, "o", color=BLUE, alpha=0.5, markeredgewidth=0)
        line = axes.axhline(own, color=ORANGE, linestyle=":")
        if name in logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif all(isinstance(value, int) for value in values):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(name)
        axes.set_ylim(*_without_the_worst(np.array(given), own, higher_is_better))
        _plain(figure, axes)
    for axes in grid[len(drawn) :]:
        axes.axis("off")
    for axes in grid[::columns]:
        axes.set_ylabel(measure.replace("_", " "))
    figure.legend([line], ["the recipe as it is"], frameon=False, loc="outside upper left")
    return figure


def _without_the_worst(given: Array, own: float, higher_is_better: bool) -> tuple[float, float]:
    """Limits that hold the better half, and what is not much farther off: some are so bad that no others could be told
    apart beside them."""
    sign = 1 if higher_is_better else -1
    best = max((sign * given).max(), sign * own)
    middle = np.median(sign * given)
    worst = min(sign * own, max((sign * given).min(), middle - 3 * (best - middle)))
    room = 0.08 * (best - worst) or 0.01
    ends = float(sign * (worst - room)), float(sign * (best + room))
    return min(ends), max(ends)


def pictures(images: Array, captions: Sequence[str], heat: Array | None = None) -> Figure:
    """Grey or colour images (rows, height, width[, channels]) with a line above each. heat: (rows, height, width),
    drawn over them, red for and blue against."""
    columns = min(6, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.7 * columns, 2.1 * rows), layout="constrained")
    for place, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.axis("off")
        if place >= len(images):
            continue
        axes.imshow(images[place], cmap="gray")
        if heat is not None:
            most = float(np.abs(heat[place]).max()) or 1.0
            axes.imshow(heat[place], cmap="bwr", vmin=-most, vmax=most, alpha=0.6)
        axes.set_title(captions[place], fontsize=8)
    return figure


def spectrograms(sounds: Array, rate: int, captions: Sequence[str]) -> Figure:
    """Sounds (rows, samples) at `rate` samples a second with a line above each: frequency over time, by power.

    Few colours, since noise in many makes a large file.
    """
    few = colormaps["magma"].resampled(COLOURS)
    columns = min(4, len(sounds))
    rows = -(-len(sounds) // columns)
    figure = Figure(figsize=(2 * columns, 1.7 * rows), layout="constrained")
    for place, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        if place >= len(sounds):
            axes.axis("off")
            continue
        ends = (0, len(sounds[place]) / rate, 0, rate / 2000)
        seen = _decibels(sounds[place])
        axes.imshow(seen, cmap=few, interpolation="nearest", origin="lower", aspect="auto", extent=ends)
        axes.set_title(captions[place], fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supxlabel("seconds", fontsize=8)
    figure.supylabel("kHz", fontsize=8)
    return figure


def _decibels(sound: Array) -> Array:
    """(samples,) -> (frequencies, times), by frames of 256 samples."""
    frames = sliding_window_view(sound, 256)[::64] * np.hanning(256)
    power = np.abs(np.fft.rfft(frames)).T ** 2
    decibels: Array = 10 * np.log10(power + FAINTEST * power.max() + np.finfo(float).tiny)
    return decibels


def _plain(figure: Figure, axes: Axes) -> Figure:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
