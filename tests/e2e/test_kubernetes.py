"""What the Helm chart and the KServe examples deploy, started as a process by their own words."""

import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.keys import made
from tests import graphs, helm
from tests.serving import serving_process, wait_until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
ADAPTER = (helm.CHART / "prometheus-adapter.yaml").read_text()
X = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}


def mount(folder: Path, version: str, name: str, text: str) -> None:
    """A Secret's entry as kubelet writes it: behind a link that one rename points to another version of all entries."""
    (folder / version).mkdir(parents=True)
    (folder / version / name).write_text(text)
    (folder / "..new").symlink_to(version)
    (folder / "..new").rename(folder / "..data")
    if not (folder / name).is_symlink():
        (folder / name).symlink_to(Path("..data") / name)


def test_what_the_chart_deploys_answers_its_probes_and_gives_its_autoscaler_figures_and_drains(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "double", graphs.double())
    key, entry = made("shop", ["infer", "read"])
    mount(tmp_path / "keys", "..1", "keys.yaml", entry)
    values = {
        "hosts": ["api.example.org"],
        "keys": {"file": {"secret": "keys", "entry": "keys.yaml"}},
        "stop": {"drainSeconds": 2},
        "settings": {"HEADRACE_MAX_BODY_BYTES": 67108864},
        "autoscaling": {"enabled": True},
    }
    resources = helm.rendered(values)
    [container] = resources["Deployment"]["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value", "127.0.0.1") for one in container["env"]}
    env["HEADRACE_HOSTS"] = env["HEADRACE_HOSTS"].replace("$(POD_IP)", env["POD_IP"])
    env["HEADRACE_KEYS_FILE"] = str(tmp_path / "keys" / "keys.yaml")
    with serving_process(tmp_path / "models", tmp_path / "log", **env) as (client, process):

        def probe(name: str) -> int:
            return client.get(container[f"{name}Probe"]["httpGet"]["path"]).status_code

        def infer(**headers: str) -> int:
            url = "/v2/models/double/infer"
            return client.post(url, json={"inputs": [X]}, headers={"x-api-key": key, **headers}).status_code

        assert [probe(name) for name in ("startup", "readiness", "liveness")] == [200, 200, 200]
        assert (infer(host="api.example.org"), infer(host="headrace.serving.svc"), infer(host="evil")) == (
            200,
            200,
            421,
        )
        scraped = client.get("/metrics", headers={"x-api-key": key}).text
        told = autoscaled_by(resources["HorizontalPodAutoscaler"])
        assert told
        assert [series for series in told if f"\n{series}{{" not in scraped] == []
        new_key, new_entry = made("shop", ["infer"])
        mount(tmp_path / "keys", "..2", "keys.yaml", new_entry)
        wait_until(lambda: infer(**{"x-api-key": new_key}) == 200, "the Secret's new key was never seen")
        assert infer() == 401
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: probe("readiness") == 503, "it was ready in its drain")
        assert (infer(**{"x-api-key": new_key}), probe("liveness")) == (200, 200)
        assert process.wait(timeout=30) == 0


def autoscaled_by(scaler: helm.Resource) -> set[str]:
    """The series that the adapter reads for the metrics that the autoscaler asks for."""
    [asked] = [one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"] if one["type"] == "Pods"]
    [rule] = [one for one in yaml.safe_load(ADAPTER)["rules"]["custom"] if one["name"]["as"] == asked]
    return set(re.findall(r"headrace_[a-z_]+", rule["seriesQuery"] + rule["metricsQuery"]))


def test_what_kserve_starts_answers_probes_and_both_protocols_from_a_linked_folder(tmp_path: Path) -> None:
    """KServe mounts some sources as a link, and a Service called headrace may be in the namespace."""
    runtime: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "kserve" / "runtime.yaml").read_text())["spec"]
    [container] = runtime["containers"]
    graphs.add_to_repository(tmp_path / "stored", "double", graphs.double())
    mounted = tmp_path / "models"
    mounted.symlink_to(tmp_path / "stored")
    here = ("--models=", "--port=", "--drain-s=")
    flags = [flag for flag in container["args"] if not flag.startswith(here)]
    with serving_process(mounted, tmp_path / "log", *flags, HEADRACE_PORT="tcp://10.0.0.1:80") as (client, _):
        asked = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("readiness", "liveness")]
        asked.append(runtime["annotations"]["prometheus.kserve.io/path"])
        assert [client.get(path).status_code for path in asked] == [200, 200, 200]
        assert runtime["protocolVersions"] == ["v1", "v2"]
        assert outputs(client.post("/v2/models/double/infer", json={"inputs": [X]})) == [[2, 4, 6]]
        v1 = client.post("/v1/models/double:predict", json={"instances": [[1, 2, 3]]})
        assert v1.json() == {"predictions": [[2, 4, 6]]}


def outputs(answer: httpx.Response) -> list[list[float]]:
    return [output["data"] for output in answer.json()["outputs"]]
