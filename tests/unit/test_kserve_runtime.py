"""The KServe examples agree with each other and with the service; tests/service/test_kserve_client.py knows their
fields, and tests/e2e/test_kubernetes.py starts them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import CliApp

from app.__main__ import main
from app.settings import Settings

ROOT = Path(__file__).parents[2]
RUNTIME, SERVICE = (
    yaml.safe_load((ROOT / "deploy" / "kserve" / name).read_text())
    for name in ("runtime.yaml", "inference-service.yaml")
)
PREDICTOR: dict[str, Any] = SERVICE["spec"]["predictor"]
[CONTAINER] = RUNTIME["spec"]["containers"]

MOUNT = "/mnt/models"
"""Where KServe puts what lies at storageUri."""

PORT = 8080
"""Which KServe calls, unless the container names another."""


def settings() -> Settings:
    return CliApp.run(Settings, CONTAINER["args"])


def test_the_service_asks_for_the_runtime_and_a_format_and_a_protocol_of_its_own() -> None:
    model = PREDICTOR["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"]["name"] in {one["name"] for one in RUNTIME["spec"]["supportedModelFormats"]}
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]
    assert not PREDICTOR["enableServiceLinks"]


def test_its_arguments_ports_probes_and_times_agree() -> None:
    given = settings()
    assert (str(given.models), given.port) == (MOUNT, PORT)
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [PORT]
    assert {CONTAINER[f"{probe}Probe"]["httpGet"]["port"] for probe in ("readiness", "liveness")} == {PORT}
    assert RUNTIME["spec"]["annotations"]["prometheus.kserve.io/port"] == str(PORT)
    assert PREDICTOR["terminationGracePeriodSeconds"] > given.drain_s + given.stop_timeout_s


def test_every_flag_is_one_that_the_help_tells(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    told = capsys.readouterr().out
    assert [flag for flag in CONTAINER["args"] if f"{flag.split('=')[0]} " not in told] == []
