"""The image is built, run by compose, scraped by Prometheus, and put behind nginx three times; one is killed."""

import json
import shutil
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from tests.serving import wait_until

ROOT = Path(__file__).parents[2]
TLS = ROOT / "deploy/nginx/tls"
PROJECT = "headrace-test"
MOST_BYTES = 400_000_000

CALLERS = 16


def ran(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def compose() -> list[str]:
    """The plugin of newer engines, or the program of older ones."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)  # noqa: S607
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def composed(*arguments: str) -> str:
    return ran(*compose(), "-p", PROJECT, "--profile", "balanced", *arguments)


def containers(service: str) -> list[str]:
    return composed("ps", "-q", service).split()


def inspected(container: str) -> dict[str, Any]:
    return json.loads(ran("docker", "inspect", container))[0]  # type: ignore[no-any-return]


def is_healthy(container: str) -> bool:
    return bool(inspected(container)["State"].get("Health", {}).get("Status") == "healthy")


@pytest.fixture(scope="module")
def image() -> str:
    ran("docker", "build", "-t", "headrace", ".")
    return "headrace"


@contextmanager
def up(*arguments: str) -> Iterator[None]:
    try:
        composed("up", "-d", *arguments)
        yield
    finally:
        composed("down", "-v", "-t", "40")


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    """A prediction that the shipped model quickstart answers."""
    manifest = json.loads((ROOT / "models/quickstart/1/manifest.json").read_text())
    features = [feature for one in manifest["inputs"] for feature in one["features"]]
    return {"instances": [{feature["name"]: feature["example"] for feature in features}]}


def test_the_image_is_small(image: str) -> None:
    size = int(ran("docker", "image", "inspect", "-f", "{{.Size}}", image))
    print(f"{size / 1e6:.0f} MB")
    assert size < MOST_BYTES


def test_the_compose_file_is_read_by_every_compose_that_is_here() -> None:
    found = [[*compose()]]
    if shutil.which("docker-compose") and found[0] != ["docker-compose"]:
        found.append(["docker-compose"])
    for command in found:
        services = ran(*command, "--profile", "balanced", "config", "--services").split()
        assert {"headrace", "prometheus", "app", "nginx"} <= set(services)


@pytest.mark.usefixtures("image")
def test_it_serves_is_scraped_keeps_to_its_walls_and_stops(body: dict[str, Any]) -> None:
    began = time.monotonic()
    with up("headrace", "prometheus"):
        [container] = containers("headrace")
        wait_until(lambda: is_healthy(container), "it is not healthy")
        print(f"healthy after {time.monotonic() - began:.1f} s")
        answer = httpx.post("http://127.0.0.1:8000/v1/models/quickstart:predict", json=body)
        assert answer.status_code == 200, answer.text
        wait_until(lambda: scraped() == {"headrace": ["up"]}, "Prometheus never reached it")
        assert ran("docker", "exec", container, "id", "-u") == "10001"
        with pytest.raises(AssertionError, match="Read-only file system"):
            ran("docker", "exec", container, "touch", "/models/x")
        began = time.monotonic()
        ran("docker", "stop", "-t", "40", container)
        print(f"stopped after {time.monotonic() - began:.1f} s")
        assert inspected(container)["State"]["ExitCode"] == 0


def asked_of_prometheus(path: str) -> dict[str, Any]:
    """Empty while it does not answer yet."""
    try:
        return httpx.get(f"http://127.0.0.1:9090/api/v1/{path}").json()["data"]  # type: ignore[no-any-return]
    except httpx.TransportError:
        return {}


def scraped() -> dict[str, list[str]]:
    """Service -> the health of each of its targets."""
    found: dict[str, list[str]] = {}
    for target in asked_of_prometheus("targets").get("activeTargets", []):
        assert target["labels"]["job"] == "headrace"
        told = target["discoveredLabels"]
        service = told.get("__meta_dns_name") or told["__address__"].split(":")[0]
        found.setdefault(service, []).append(target["health"])
    return found


@pytest.mark.usefixtures("image")
def test_each_of_three_behind_nginx_is_scraped_and_one_that_goes_is_no_alert() -> None:
    make_certificate()
    with up("--scale", "app=3", "nginx", "prometheus"):
        wait_until(lambda: scraped() == {"headrace": ["up"], "app": ["up"] * 3}, "Prometheus never reached all of them")
        ran("docker", "stop", "-t", "40", containers("app")[0])
        wait_until(lambda: scraped() == {"headrace": ["up"], "app": ["up"] * 2}, "Prometheus still asks who has gone")
        assert [alert for alert in asked_of_prometheus("alerts")["alerts"] if alert["state"] == "firing"] == []


@pytest.mark.usefixtures("image")
def test_of_three_behind_nginx_one_is_killed_and_no_request_is_lost(body: dict[str, Any]) -> None:
    make_certificate()
    with up("--scale", "app=3", "nginx"):
        assert len(containers("app")) == 3
        for container in containers("app"):
            wait_until(lambda: is_healthy(container), "one is not healthy")  # noqa: B023
        over, killed = Event(), Event()
        with ThreadPoolExecutor(CALLERS) as pool:
            told = [pool.submit(call_on_and_on, body, over) for _ in range(CALLERS)]
            try:
                wait_until(lambda: all(asked_of(container) for container in containers("app")), "one was never asked")
                victim, *others = containers("app")
                ran("docker", "kill", "-s", "KILL", victim)
                killed.set()
                before = [asked_of(container) for container in others]
                wait_until(
                    lambda: all(asked_of(c) > 100 + n for c, n in zip(others, before, strict=True)), "they were left"
                )
            finally:
                over.set()
            seen = sum((one.result() for one in told), Counter[str]())
        print(dict(seen))
        assert killed.is_set()
        assert set(seen) == {"200"}
        assert seen["200"] > 300


def make_certificate() -> None:
    """As the README says."""
    if not (TLS / "certificate.pem").exists():
        TLS.mkdir(parents=True, exist_ok=True)
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        files = ("-keyout", str(TLS / "key.pem"), "-out", str(TLS / "certificate.pem"))
        ran("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", *names, *files)


def call_on_and_on(body: dict[str, Any], over: Event) -> Counter[str]:
    """How often each status came, or each failure."""
    seen, trusted = Counter[str](), ssl.create_default_context(cafile=str(TLS / "certificate.pem"))
    with httpx.Client(base_url="https://127.0.0.1:8443", verify=trusted, timeout=30) as client:
        while not over.is_set():
            try:
                seen[str(client.post("/v1/models/quickstart:predict", json=body).status_code)] += 1
            except httpx.TransportError as error:
                seen[repr(error)] += 1
    return seen


def asked_of(container: str) -> float:
    """Predictions that it has answered."""
    read = "import urllib.request as web; print(web.urlopen('http://127.0.0.1:8000/metrics').read().decode())"
    lines = ran("docker", "exec", container, "python", "-c", read).splitlines()
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("headrace_requests_total{") and "quickstart" in line
    )
