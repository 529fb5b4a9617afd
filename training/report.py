"""What a run has to say at its end: on the terminal, as Markdown, as JSON, and as curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from pydantic import TypeAdapter

from app.manifest import Evaluation, Metric, Parity
from training.fit import History
from training.metrics import Measure

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#6b7280"


@dataclass(frozen=True)
class Report:
    """seconds: that training took. parity, graph_bytes: None if there is no graph that holds. failed: see `outcome`."""

    recipe: str
    title: str
    folder: str
    seed: int
    epochs: int
    best_epoch: int
    seconds: float
    data: str
    split: str
    evaluation: Evaluation
    parity: Parity | None
    graph_bytes: int | None
    outcome: str
    failed: bool
    card: str

    def text(self) -> str:
        parts = [
            f"# {self.title}",
            self.outcome,
            f"## Held-out test split\n\n{metrics_table(self.evaluation.metrics)}",
            f"Baseline: {self.evaluation.baseline}. {self.evaluation.verdict}.",
            slices_table(self.evaluation),
            f"## Run\n\n{self._facts()}",
            self.card,
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _facts(self) -> str:
        facts = [
            f"recipe `{self.recipe}`, seed {self.seed}",
            f"{self.epochs} epochs in {self.seconds:.1f} s; the best on validation was epoch {self.best_epoch}",
            f"data: {self.data}",
            f"split: {self.split}",
        ]
        if self.parity and self.graph_bytes:
            facts += [
                f"parity: PyTorch and onnxruntime differ by {self.parity.max_abs_difference:.1e} at most, over "
                f"{self.parity.rows} held-out rows in batches of {', '.join(map(str, self.parity.batches))}; "
                f"{self.parity.tolerance:g} is allowed",
                f"graph: {self.graph_bytes / 1000:.1f} kB",
            ]
        return "\n".join(f"- {fact}" for fact in [*facts, f"folder: {self.folder}"])


def metrics_table(metrics: Sequence[Metric]) -> str:
    lines = [("metric", "network", "baseline", "better is")]
    lines += [
        (m.name, f"{m.model:.4f}", f"{m.baseline:.4f}", "higher" if m.higher_is_better else "lower") for m in metrics
    ]
    return markdown(lines)


def slices_table(evaluation: Evaluation) -> str:
    """The first metric by group; nothing where there are no groups."""
    if not evaluation.slices:
        return ""
    lines = [("group", "rows", evaluation.metrics[0].name, "95 %", "baseline")]
    lines += [
        (s.group, str(s.rows), f"{s.model:.4f}", _span(s.interval), f"{s.baseline:.4f}") for s in evaluation.slices
    ]
    return f"### By group\n\n{markdown(lines)}"


def _span(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "too few rows"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table, its first line the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([rows[0], rule, *rows[1:]])


def save(report: Report, folder: Path) -> None:
    (folder / "report.md").write_text(report.text())
    (folder / "report.json").write_bytes(TypeAdapter(Report).dump_json(report, indent=2) + b"\n")


def draw_curves(history: History, title: str, measure: Measure, path: Path) -> None:
    """Losses above, the validation metric below, the epoch that was kept marked in both."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    epochs = history.epochs
    _curve(losses, [epoch.train_loss for epoch in epochs], "training", GREY)
    _curve(losses, validation_loss := [epoch.validation_loss for epoch in epochs], "validation", BLUE)
    _curve(scores, score := [epoch.score for epoch in epochs], "validation", ORANGE)
    _mark(losses, validation_loss, history.best_epoch, False, BLUE)
    _mark(scores, score, history.best_epoch, measure.higher_is_better, ORANGE)
    losses.set_yscale("log")
    losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    losses.yaxis.set_major_formatter("{x:g}")
    losses.yaxis.set_minor_locator(NullLocator())
    losses.legend(frameon=False, loc="upper right")
    losses.set_title(title, loc="left", weight="bold")
    losses.set_ylabel("loss")
    scores.set_ylabel(measure.name.replace("_", " "))
    scores.set_xlabel("epoch")
    figure.savefig(path, dpi=120)


def _curve(axes: Axes, values: list[float], label: str, colour: str) -> None:
    axes.plot(range(1, len(values) + 1), values, color=colour, label=label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(axes: Axes, values: list[float], epoch: int, peak: bool, colour: str) -> None:
    """The kept epoch, its text where the curve is not: above a peak, below a trough, to the nearer middle."""
    value, late = values[epoch - 1], epoch > len(values) / 2
    axes.axvline(epoch, color=GREY, linewidth=0.8, linestyle=":")
    axes.plot([epoch], [value], "o", color=colour, markersize=6)
    axes.annotate(
        f"epoch {epoch}: {value:.4g}",
        (epoch, value),
        xytext=(-8 if late else 8, 8 if peak else -16),
        textcoords="offset points",
        ha="right" if late else "left",
        color=colour,
    )
    axes.margins(y=0.25)
