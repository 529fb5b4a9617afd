"""One HTML page a run, for people: figures, curves, where it goes wrong, and what it was made of.

It stands by itself: pictures are inside, nothing is loaded and nothing runs. What depends on the day stays out of it,
so that the same training writes the same page.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from app.feature import date_of
from app.manifest import Evaluation, Manifest
from training import plots
from training.answers import Answer
from training.datasets.dataset import Column, Dataset, Rows
from training.importance import gradients, shuffled
from training.metrics import Array, Measure
from training.networks.served import Served

WORST = 12
"""Examples that are shown."""

MOST_FEATURES = 6
"""Of an example."""

MOST_LETTERS = 500

STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
figure { margin: 1rem 0; } img { max-width: 100%; background: #fff; border-radius: .4rem; }
figcaption { opacity: .75; font-size: .9rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--line); padding-left: .8rem; }
"""


@dataclass(frozen=True)
class Shown:
    """What a page is made from. ours, theirs: the answers of the network and of the baseline to the test split.
    curves: a PNG."""

    dataset: Dataset
    served: Served
    answers: Sequence[Answer]
    measure: Measure
    ours: Array
    theirs: Array
    curves: bytes


def page(manifest: Manifest, shown: Shown) -> str:
    """The page of a model that is described."""
    only_texts = shown.dataset.test.texts and not shown.dataset.test.plain
    weights = {} if only_texts else shuffled(shown.dataset, shown.served, shown.measure)
    parts = [
        f"<h1>{escape(manifest.title)}</h1><p>{escape(manifest.description)}</p>",
        f"<h2>How good it is</h2><p>{escape(manifest.evaluation.verdict)}.</p>",
        _metrics(manifest.evaluation),
        _slices(manifest.evaluation),
        "<h2>How it was trained</h2>",
        _png(shown.curves, "Loss and validation metric, epoch by epoch; the epoch that was kept is marked."),
        *_outcome(shown),
        *_importance(weights, shown.measure),
        *_worst(shown, sorted(weights, key=lambda name: -weights[name])[:MOST_FEATURES]),
        "<h2>What it was made of</h2>",
        _table(("", ""), _facts(manifest)),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    title = f"<title>{escape(manifest.title)}</title>"
    return f'<!doctype html>\n<html lang="en"><head>{head}{title}</head>\n<body>{"".join(parts)}</body></html>\n'


def _metrics(evaluation: Evaluation) -> str:
    lines = [
        (
            one.name.replace("_", " "),
            f"{one.model:.4g}",
            _span(one.interval),
            f"{one.baseline:.4g}",
            "higher" if one.higher_is_better else "lower",
        )
        for one in evaluation.metrics
    ]
    return _table(("metric", "network", "95 % interval", evaluation.baseline, "better is"), lines)


def _slices(evaluation: Evaluation) -> str:
    if not evaluation.slices:
        return ""
    lines = [
        (one.group, str(one.rows), f"{one.model:.3g}", _span(one.interval), f"{one.baseline:.3g}")
        for one in evaluation.slices
    ]
    title = f"<h3>By group: {evaluation.metrics[0].name.replace('_', ' ')}</h3>"
    return title + _table(("group", "rows", "network", "95 % interval", evaluation.baseline), lines)


def _span(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.3g} to {interval[1]:.3g}" if interval else "too few rows"


def _outcome(shown: Shown) -> list[str]:
    targets, labels = shown.dataset.test.targets.numpy(), shown.dataset.target.labels
    title, unit = "<h2>Held-out rows</h2>", shown.dataset.target.unit
    if shown.answers[0].kind == "probabilities":
        parts = [title]
        if len(labels) <= plots.MOST_LABELS:
            drawn = plots.confusion(shown.ours.argmax(axis=1), targets.astype(int), labels)
            parts.append(_figure(drawn, "By their true class and by the likeliest one."))
        both = {"network": shown.ours, "baseline": shown.theirs}
        curves = {name: (given.max(axis=1), given.argmax(axis=1) == targets) for name, given in both.items()}
        if len(labels) == 2:
            curves = {name: (given[:, 1], targets == 1) for name, given in both.items()}
        of = labels[1] if len(labels) == 2 else "the likeliest class"
        return [*parts, _figure(plots.calibration(curves), f"Calibration of the probability of {of}.")]
    if shown.ours.ndim == 1:
        drawn = plots.against_truth(shown.ours, targets, unit)
        return [title, _figure(drawn, "Predicted beside true values, and how far they are apart.")]
    if any(one.level is not None for one in shown.answers):
        values = targets if targets.ndim == 1 else targets[:, 0]
        levels = [place for place, one in enumerate(shown.answers) if one.level is not None]
        low, middle, high = (shown.ours[:, levels[place]] for place in (0, len(levels) // 2, -1))
        return [title, _figure(plots.band(low, middle, high, values, unit), "The first of them, and their forecasts.")]
    return []


def _importance(weights: dict[str, float], measure: Measure) -> list[str]:
    if len(weights) < 2:
        return []
    label = f"{measure.name.replace('_', ' ')} lost when it is shuffled, on the validation rows"
    drawn = plots.importance(weights, label)
    return [
        "<h2>What counts</h2>",
        _figure(drawn, "Permutation importance: the mean of three shuffles of each feature."),
    ]


def _worst(shown: Shown, features: Sequence[str]) -> list[str]:
    """Held-out rows whose answers are furthest from the truth; of classes, only those that were mistaken."""
    test, labels = shown.dataset.test, shown.dataset.target.labels
    targets = test.targets.numpy()
    if shown.answers[0].kind == "probabilities":
        given = shown.ours[np.arange(len(targets)), targets.astype(int)]
        order = [place for place in np.argsort(given, kind="stable") if shown.ours[place].argmax() != targets[place]]
    elif shown.ours.ndim == 1:
        order = list(np.argsort(-np.abs(shown.ours - targets), kind="stable"))
    else:
        return []
    if not order:
        return ["<h2>Mistakes</h2><p>None on the held-out rows.</p>"]
    places = torch.tensor([int(place) for place in order[:WORST]])
    rows, title = test.take(places), "<h2>What went most wrong</h2>"
    lines = [_said(shown.ours[place], targets[place], labels, shown.dataset.target.unit) for place in places.tolist()]
    [first, *_] = next(iter(shown.dataset.columns.values()))
    if first.kind == "image":
        images = next(iter(rows.inputs.values()))
        heat = gradients(shown.served, rows, torch.from_numpy(shown.ours[places.numpy()].argmax(axis=1)))
        told = "The same with integrated gradients: red speaks for the answer, blue against it."
        drawn = plots.pictures(images.numpy(), lines), plots.pictures(images.numpy(), lines, heat)
        return [title, _figure(drawn[0], "What they are, and what was answered."), _figure(drawn[1], told)]
    if first.kind == "audio":
        assert first.sample_rate is not None
        drawn_sounds = plots.spectrograms(next(iter(rows.inputs.values())).numpy(), first.sample_rate, lines)
        return [title, _figure(drawn_sounds, "Their spectrograms: frequency over time, and what was answered.")]
    if rows.texts and not rows.plain:
        [texts] = rows.texts.values()
        shown_texts = zip(lines, texts[:, 0], strict=True)
        return [title, *(f"<p>{escape(line)}</p><pre>{escape(str(t)[:MOST_LETTERS])}</pre>" for line, t in shown_texts)]
    values = _values(shown.dataset, rows, features)
    return [title, _table(("true, and answered", *values), zip(lines, *values.values(), strict=True))] if values else []


def _said(answer: Array, target: float, labels: Sequence[str], unit: str) -> str:
    if not labels:
        return f"{target:.4g} {unit}: {answer:.4g}".replace(" :", ":")
    best = int(answer.argmax())
    return f"{labels[int(target)]}: {labels[best]} ({answer[best]:.2f})"


def _values(dataset: Dataset, rows: Rows, features: Sequence[str]) -> dict[str, list[str]]:
    """Of single features, as a caller would write them."""
    found = {}
    for tensor, columns in dataset.columns.items():
        for at, column in enumerate(columns):
            if column.name in features and not column.shape:
                values = rows.sent()[tensor][:, at].tolist()
                found[column.name] = [_value(column, value) for value in values]
    return {name: found[name] for name in features if name in found}


def _value(column: Column, value: Any) -> str:
    if column.kind == "text":
        return str(value)[:MOST_LETTERS]
    if column.kind == "category":
        return column.categories[int(value)]
    if isnan(value):
        return "missing"
    return date_of(value) if column.kind == "date" else f"{value:.4g}"


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    data, training, parity = manifest.data, manifest.training, manifest.parity
    return [
        ("data", f"{data.name}; {data.source}; licence: {data.licence}"),
        ("split", f"{data.split}; {', '.join(f'{rows} {part}' for part, rows in data.rows.items())}"),
        ("limits", manifest.limits),
        ("intended use", manifest.intended_use),
        ("training", ", ".join(f"{name} {value}" for name, value in training.settings.items() if value is not None)),
        ("epochs", f"{training.epochs}, the best was {training.best_epoch}; seed {training.seed}"),
        (
            "parity",
            f"PyTorch and onnxruntime differ by {parity.max_abs_difference:.1e} over {parity.rows} rows",
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in training.versions.items())),
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th scope=col>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>\n"


def _figure(figure: Figure, caption: str) -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    return _png(drawn.getvalue(), caption)


def _png(content: bytes, caption: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<figure><img alt="{escape(caption)}" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>\n'
