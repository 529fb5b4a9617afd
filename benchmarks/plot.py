"""Throughput against latency, as one picture: to the right is more, down is sooner."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from benchmarks.cases import CASES, Case
from benchmarks.measure import Measured
from benchmarks.servers import SERVERS

COLUMNS = 3
MARKERS = "os^Dv<>pP*X"


def panels(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Title -> cases: those that differ only in their number of connections are one line."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        rows = f", {case.traffic.rows} rows" if case.traffic.rows > 1 else ""
        found.setdefault(f"{case.traffic.model}{rows}", []).append(case)
    return found


def plot(results: Sequence[Measured], place: Path) -> None:
    """Draw medians of the rounds: p99 solid, p50 pale."""
    counted = [one for one in results if not one.problem]
    groups = panels([case for case in CASES if any(one.case == case.name for one in counted)])
    lines = -(-len(groups) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 4 * lines + 1), layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axis, (title, cases) in zip(axes, groups.items(), strict=False):
        draw(axis, title, cases, counted)
    for axis in axes[len(groups) :]:
        axis.set_axis_off()
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    figure.savefig(place, dpi=110)


def draw(axis: Axes, title: str, cases: Sequence[Case], results: Sequence[Measured]) -> None:
    """One kind of traffic: a line for each server, from few connections to many."""
    for number, server in enumerate(SERVERS):
        points = [point for case in cases if (point := medians(case, server.name, results))]
        if not points:
            continue
        rows, p50, p99 = zip(*points, strict=True)
        colour, marker = f"C{number % 10}", MARKERS[number % len(MARKERS)]
        axis.plot(rows, p50, color=colour, marker=marker, alpha=0.3, linewidth=1)
        axis.plot(rows, p99, color=colour, marker=marker, label=server.name, linewidth=2)
    connections = ", ".join(str(case.connections) for case in cases)
    axis.set(xscale="log", yscale="log", xlabel="rows/s", ylabel="ms, p99 (pale: p50)")
    axis.set_title(f"{title}; connections: {connections}")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(StrMethodFormatter("{x:,g}"))
        side.set_minor_formatter(NullFormatter())
    axis.grid(visible=True, which="both", alpha=0.2)


def medians(case: Case, server: str, results: Sequence[Measured]) -> tuple[float, float, float] | None:
    """Rows a second, p50 and p99 in ms."""
    found = [one for one in results if one.case == case.name and one.server == server]
    if not found:
        return None
    return median(o.rows_per_s for o in found), median(o.p50_ms for o in found), median(o.p99_ms for o in found)
