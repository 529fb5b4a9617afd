"""The files that people deploy with: well formed, and about settings and addresses that exist."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE_FILES = ("docker-compose.yml", "deploy/gpu.yml")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())  # type: ignore[no-any-return]


def test_the_dockerfile_follows_good_practice() -> None:
    linted = subprocess.run([TOOLS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.stdout + linted.stderr == ""


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_compose_file_is_what_compose_reads(name: str) -> None:
    command: list[str | Path] = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / name]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_setting_that_is_deployed_exists() -> None:
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    text = "".join((ROOT / name).read_text() for name in ("Dockerfile", *COMPOSE_FILES))
    assert set(re.findall(r"HEADRACE_[A-Z_]+", text)) <= known


def test_prometheus_scrapes_the_service_by_its_name_and_port() -> None:
    service = read("docker-compose.yml")["services"]["headrace"]
    [job] = read("deploy/prometheus/prometheus.yml")["scrape_configs"]
    port = service["ports"][0].rsplit(":", 1)[1]
    assert job["static_configs"] == [{"targets": [f"headrace:{port}"]}]


def test_what_prometheus_always_scrapes_is_started_with_it_and_the_rest_is_found_by_its_name() -> None:
    services = read("docker-compose.yml")["services"]
    [job] = read("deploy/prometheus/prometheus.yml")["scrape_configs"]
    always = [target.split(":")[0] for one in job["static_configs"] for target in one["targets"]]
    assert always == services["prometheus"]["depends_on"]
    [found] = job["dns_sd_configs"]
    balanced = [name for name, one in services.items() if one.get("profiles") == ["balanced"] and "build" in one]
    assert found["names"] == balanced
    assert f"proxy_pass http://${balanced[0]}:{found['port']};" in (ROOT / "deploy/nginx/nginx.conf").read_text()


def test_compose_starts_prometheus_with_its_files_and_in_a_profile_grafana_which_asks_it() -> None:
    services = read("docker-compose.yml")["services"]
    mounted = [volume.split(":") for name in ("prometheus", "grafana") for volume in services[name]["volumes"]]
    folders = {inside: ROOT / outside for outside, inside, *_ in mounted if outside.startswith(".")}
    assert all(folder.is_dir() for folder in folders.values())
    assert "--config.file=/deploy/prometheus/prometheus.yml" in services["prometheus"]["command"]
    assert (folders["/deploy/prometheus"] / "prometheus.yml").is_file()
    [rules] = read("deploy/prometheus/prometheus.yml")["rule_files"]
    seen = Path(os.path.normpath(Path("/deploy/prometheus", rules)))
    assert (folders[str(seen.parent)] / seen.name).is_file()
    assert services["grafana"]["profiles"] == ["monitoring"]
    [source] = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    port = services["prometheus"]["ports"][0].rsplit(":", 1)[1]
    assert source["url"] == f"http://prometheus:{port}"
    assert source["jsonData"]["timeInterval"] == read("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    [provider] = read("deploy/grafana/provisioning/dashboards/headrace.yml")["providers"]
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert folders[provider["options"]["path"]] == ROOT / "deploy/grafana/dashboards"
    assert (folders[str(home.parent)] / home.name).is_file()


def test_the_image_installs_no_training_extra_and_runs_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "train" not in dockerfile
    assert re.search(r"^USER [1-9][0-9]*:", dockerfile, re.MULTILINE)
    assert read("docker-compose.yml")["services"]["headrace"]["read_only"] is True


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets
