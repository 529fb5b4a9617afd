"""The dashboards and alerts in deploy/: well formed, about series that exist, and each alert tried by promtool."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.metrics import Metrics
from benchmarks.dashboards.panels import DASHBOARDS, read

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "helm" / "headrace" / "alerts.yml"
CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
TRIED = sorted(Path(__file__).parent.glob("alerts*.yml"))
FILES = sorted(DASHBOARDS.glob("*.json"))
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "summary": ["_sum", "_count"]}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool; tests/install brings it")


def exposed() -> set[str]:
    """Names of all series of the service."""
    families = asyncio.run(Metrics().collect())
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, [""])}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(file)["panels"]
    return found


def told_by(*command: str | Path) -> str:
    """What a program says that must not fail."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_takes_its_configuration_and_the_rules() -> None:
    assert f"{len(rules())} rules found" in told_by("promtool", "check", "config", CONFIGURATION)


@needs_promtool
@pytest.mark.parametrize("file", TRIED, ids=lambda file: file.stem)
def test_alerts_fire_where_they_should_and_nowhere_else(file: Path) -> None:
    told_by("promtool", "test", "rules", file)


def test_every_alert_is_tried_and_says_how_urgent_it_is_and_what_to_do() -> None:
    tried = re.findall(r'alertname="(\w+)"', "".join(file.read_text() for file in TRIED))
    assert {rule["alert"] for rule in rules()} == set(tried)
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert all({"summary", "description"} == set(rule["annotations"]) for rule in rules())


def test_alerts_and_panels_ask_for_series_that_exist() -> None:
    asked = RULES.read_text() + "".join(file.read_text() for file in FILES)
    named = set(re.findall(r"\bheadrace_\w+", asked))
    assert named <= exposed()


def test_there_is_a_dashboard_of_each_kind_and_no_two_are_one() -> None:
    assert [file.stem for file in FILES] == ["drift", "machine", "model", "service"]
    assert [read(file)["uid"] for file in FILES] == [f"headrace-{file.stem}" for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_have_their_place_their_unit_and_a_word_for_the_operator(file: Path) -> None:
    for name in ("id", "title"):
        assert len({panel[name] for panel in panels(file)}) == len(panels(file))
    taken: set[tuple[int, int]] = set()
    for panel in panels(file):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["description"].endswith(".")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_queries_follow_the_variables_that_the_dashboard_has(file: Path) -> None:
    named = {variable["name"] for variable in read(file)["templating"]["list"]}
    text = file.read_text()
    used = set(re.findall(r"\$\{?([a-z]\w*)", text))
    assert used == named
    sources = {target["datasource"]["uid"] for panel in panels(file) for target in panel["targets"]}
    assert sources == {"${datasource}"}
    assert {
        len({target["refId"] for target in panel["targets"]}) - len(panel["targets"]) for panel in panels(file)
    } == {0}
    assert not re.findall(r"\[\d+[smh]\]", text), "rates are taken over $__rate_interval"
