"""Panels as pictures: what Prometheus answers to their queries, in the places that they have in Grafana."""

from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10
from pathlib import Path
from textwrap import shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.dashboards.panels import Panel
from benchmarks.dashboards.prometheus import Prometheus, Series

COLUMNS = 24
WIDTH, LINE = 22.0, 0.42
"""Inches of a picture's width, and of a line of the grid."""

STEP_S = 1.0

HEADROOM = 1.4
"""Of what is drawn, for the legend."""

LEGENDS = 12
"""Series that are named, of a panel with more."""

FEWEST_BARS = 4
"""That there is room for."""

SCALES: Mapping[str, Sequence[tuple[float, str]]] = {
    "s": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "us")),
    "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    "percentunit": ((0.01, "%"),),
    "reqps": ((1, "req/s"),),
    "rowsps": ((1, "rows/s"),),
    "cps": ((1, "/s"),),
    "ops": ((1, "/s"),),
    "none": ((1, ""),),
}
"""Grafana's units -> from the largest, what they are written in."""


def written(value: float, unit: str) -> str:
    """With three digits, and its unit."""
    if not isfinite(value):
        return "-"
    scales = SCALES[unit]
    size, name = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1] if value else scales[0])
    if not value:
        return f"0 {name if len(scales) == 1 else ''}".strip()
    scaled = value / size
    digits = max(0, 2 - floor(log10(abs(scaled))))
    text = f"{scaled:,.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {name}".strip()


def draw(panels: Sequence[Panel], prometheus: Prometheus, start: float, end: float, place: Path) -> None:
    """One dashboard, over a time."""
    lines = max(panel.y + panel.h for panel in panels)
    figure = Figure(figsize=(WIDTH, LINE * lines))
    for panel in panels:
        left, top = panel.x / COLUMNS * WIDTH, (lines - panel.y) * LINE
        width, height = panel.w / COLUMNS * WIDTH, panel.h * LINE
        inside = (left + 0.6, top - height + 0.35, width - 0.85, height - 0.75)
        scaled = [side / (WIDTH, LINE * lines)[place % 2] for place, side in enumerate(inside)]
        axis = figure.add_axes((scaled[0], scaled[1], scaled[2], scaled[3]))
        axis.set_title(panel.title, fontsize=10, fontweight="bold", loc="left")
        if panel.kind == "timeseries":
            over_time(axis, panel, prometheus, start, end)
        else:
            {"stat": stat, "bargauge": bars, "table": table}[panel.kind](axis, panel, prometheus)
    figure.savefig(place, dpi=70)


def over_time(axis: Axes, panel: Panel, prometheus: Prometheus, start: float, end: float) -> None:
    """Lines, or areas on top of one another."""
    times = np.arange(start, end, STEP_S)
    found = {
        query.name(one.labels) or "(no name)": sampled(one, times)
        for query in panel.queries
        for one in prometheus.between(query.expression, start, times[-1], STEP_S)
    }
    ages = times - end
    if panel.stacked:
        axis.stackplot(ages, [np.nan_to_num(values) for values in found.values()], labels=[*found], alpha=0.7)
    else:
        for name, values in found.items():
            axis.plot(ages, values, label=name, linewidth=1.5)
    axis.set_ylim(0, HEADROOM * axis.get_ylim()[1])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axis.tick_params(labelsize=7)
    axis.grid(visible=True, alpha=0.2)
    handles, names = axis.get_legend_handles_labels()
    axis.legend(handles[:LEGENDS], names[:LEGENDS], fontsize=6, loc="upper left", ncols=2, framealpha=0.6)


def sampled(series: Series, times: np.ndarray) -> np.ndarray:
    """(points,) at these times; NaN where there is none."""
    values = np.full(len(times), np.nan)
    for time, value in series.points:
        values[round((time - times[0]) / STEP_S)] = value
    return values


def stat(axis: Axes, panel: Panel, prometheus: Prometheus) -> None:
    """One large number."""
    [query] = panel.queries
    [found] = prometheus.now(query.expression)
    axis.set_axis_off()
    axis.text(0.5, 0.4, written(found.points[0][1], panel.unit), fontsize=22, ha="center", va="center")


def bars(axis: Axes, panel: Panel, prometheus: Prometheus) -> None:
    """One for each series, the first on top."""
    found = [
        (query.name(one.labels), one.points[0][1])
        for query in panel.queries
        for one in prometheus.now(query.expression)
    ]
    axis.barh([name for name, _ in found], [value for _, value in found], color="C0", alpha=0.6)
    for place, (name, value) in enumerate(found):
        axis.text(0, place, f"  {shorten(name, 60)}   {written(value, panel.unit)}", fontsize=8, va="center")
    axis.set_ylim(max(len(found), FEWEST_BARS) - 0.5, -0.5)
    axis.set_axis_off()


def table(axis: Axes, panel: Panel, prometheus: Prometheus) -> None:
    """Labels, then a column for each query that is shown."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for query in panel.queries:
        for one in prometheus.now(query.expression):
            cells = rows.setdefault(tuple(sorted(one.labels.items())), {})
            if query.legend:
                cells[query.legend] = f"{one.points[0][1]:,.6g}"
    labels = list(dict.fromkeys(name for row in rows for name, _ in row))
    shown = [query.legend for query in panel.queries if query.legend]
    text = [
        [*(dict(row).get(name, "") for name in labels), *(cells.get(name, "") for name in shown)]
        for row, cells in sorted(rows.items())
    ]
    axis.set_axis_off()
    drawn = axis.table(text, colLabels=[*labels, *shown], loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7)
    drawn.auto_set_column_width(range(len(labels) + len(shown)))
