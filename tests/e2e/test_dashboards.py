"""Every panel shows something and every alert can be evaluated: a real Prometheus over the real service under load."""

import re
import shutil
from math import isfinite
from pathlib import Path

import pytest

from benchmarks.dashboards.panels import dashboards
from benchmarks.dashboards.prometheus import Prometheus
from benchmarks.dashboards.service import observed
from tests.serving import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus; tests/install brings it"),
]

TRIED = Path(__file__).parents[1] / "unit"


def empty(prometheus: Prometheus) -> list[str]:
    """Queries of panels without a number for an answer."""
    return [
        f"{name}: {panel.title}: {query.expression}"
        for name, panels in dashboards().items()
        for panel in panels
        for query in panel.queries
        if not any(isfinite(value) for one in prometheus.now(query.expression) for _, value in one.points)
    ]


def foreign(prometheus: Prometheus) -> list[str]:
    """Series that alerts are tried on with labels that the real ones do not have."""
    written = set(re.findall(r"series: '(\w+)\{(.*)\}'", "".join(f.read_text() for f in TRIED.glob("alerts*.yml"))))
    kinds = {(name, frozenset(re.findall(r'(\w+)="[^"]', labels))) for name, labels in written}
    return [
        f"{name} with {sorted(labels)}"
        for name, labels in kinds
        if labels not in [frozenset(one.labels) - {"__name__"} for one in prometheus.now(name)]
    ]


def test_every_panel_has_an_answer_and_every_alert_is_evaluated(tmp_path: Path) -> None:
    with observed(tmp_path) as prometheus:
        left: list[str] = []

        def filled() -> bool:
            left[:] = empty(prometheus)
            return not left

        try:
            wait_until(filled, "a panel stayed empty")
        except TimeoutError:
            assert left == []
        assert foreign(prometheus) == []
        rules = prometheus.rules()
        assert {rule["health"] for rule in rules} == {"ok"}
        told = [text for rule in rules for alert in rule["alerts"] for text in alert["annotations"].values()]
        assert told
        assert [text for text in told if "<no value>" in text or "error" in text] == []
