"""The dashboards as their files have them: panels, each with its queries as Prometheus takes them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"

WINDOW_S = 10
"""What rates are taken over where Grafana would choose it."""


@dataclass(frozen=True)
class Query:
    """One of a panel's.

    expression: with Grafana's variables replaced.
    legend:     how a series is named, `{{label}}` for a label's value; of a table the head of a column, empty for none.
    """

    expression: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """Of one series."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), self.legend)


@dataclass(frozen=True)
class Panel:
    """kind: Grafana's. unit: Grafana's, of the values. x, y, w, h: on its grid of 24 columns."""

    title: str
    kind: str
    unit: str
    stacked: bool
    queries: tuple[Query, ...]
    x: int
    y: int
    w: int
    h: int


def dashboards() -> dict[str, list[Panel]]:
    """Name of the file -> its panels, for all models, versions and instances."""
    return {file.stem: [_panel(one) for one in read(file)["panels"]] for file in sorted(DASHBOARDS.glob("*.json"))}


def read(file: Path) -> dict[str, Any]:
    """As it is."""
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def _panel(told: Mapping[str, Any]) -> Panel:
    defaults = told["fieldConfig"]["defaults"]
    columns: dict[str, str] = {}
    for one in told.get("transformations", ()):
        columns |= one["options"].get("renameByName", {})
    queries = tuple(
        Query(_substituted(one["expr"]), one.get("legendFormat") or columns.get(f"Value #{one['refId']}", ""))
        for one in told["targets"]
    )
    stacked = "stacking" in defaults.get("custom", {})
    place = (told["gridPos"][side] for side in "xywh")
    return Panel(told["title"], told["type"], defaults["unit"], stacked, queries, *place)


def _substituted(expression: str) -> str:
    return re.sub(r"\$\w+", ".+", expression.replace("$__rate_interval", f"{WINDOW_S}s"))
