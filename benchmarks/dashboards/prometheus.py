"""A real Prometheus with the alert rules of deploy/, which scrapes one service every second."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.sockets import listen
from tests.serving import wait_for

RULES = Path(__file__).parents[2] / "deploy" / "helm" / "headrace" / "alerts.yml"


@dataclass(frozen=True)
class Series:
    """points: (seconds since 1970, value); of an instant query one."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """One that runs."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def now(self, expression: str) -> list[Series]:
        """Its value at this moment. Raises httpx.HTTPStatusError for what is no PromQL."""
        found = self._told("query", query=expression)["result"]
        return [Series(one["metric"], (_point(one["value"]),)) for one in found]

    def between(self, expression: str, start: float, end: float, step_s: float) -> list[Series]:
        """Its values over a time."""
        found = self._told("query_range", query=expression, start=start, end=end, step=step_s)["result"]
        return [Series(one["metric"], tuple(map(_point, one["values"]))) for one in found]

    def rules(self) -> list[dict[str, Any]]:
        """Every alert's rule, with its health and its alerts."""
        return [rule for group in self._told("rules")["groups"] for rule in group["rules"]]

    def _told(self, path: str, **parameters: str | float) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()["data"]


def _point(told: tuple[float, str]) -> tuple[float, float]:
    return float(told[0]), float(told[1])


@contextmanager
def scraping(folder: Path, target: httpx.URL, key: str) -> Iterator[Prometheus]:
    """One that scrapes a service. key: of the service, to whose certificate it pays no attention."""
    job = {
        "job_name": "headrace",
        "scheme": target.scheme,
        "authorization": {"credentials": key},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [{"targets": [f"{target.host}:{target.port}"]}],
    }
    often = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    folder.mkdir()
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"global": often, "rule_files": [str(RULES)], "scrape_configs": [job]}))
    with listen("127.0.0.1", 0, shared=False) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)  # noqa: S603
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
                wait_for(client, "/-/ready")
                yield Prometheus(client)
        finally:
            process.terminate()
            process.wait(timeout=30)
