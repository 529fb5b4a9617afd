"""A service with everything switched on, and callers who do everything, so that no panel is empty.

Two workers serve over HTTPS, with keys, out of a store: a shipped model whose applicants become others after a while,
one with answers to compare, two versions of one, one that is asked too often, one that fails on what it is asked, one
that cannot be opened and a version that is not whole.
"""

import random
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import httpx
import numpy as np
import yaml

from app.feature import Feature
from app.keys import digest
from app.manifest import Summary, read_manifest
from benchmarks.dashboards.prometheus import Prometheus, scraping
from tests import graphs
from tests.certificates import self_signed
from tests.manifests import fitted, manifest
from tests.serving import serving_process

SHIPPED = Path(__file__).parents[2] / "models" / "loan-risk"

OPERATOR, SHOP = "operator-of-the-dashboards", "shop-of-the-dashboards"
"""Keys: one without a bound, and one that calls more often than it may."""

SEED = 20261128

INSTANCES = 20
"""In a request about loans."""

Body = Callable[[random.Random, bool], dict[str, Any]]
"""Drawn by chance, before or after callers have changed."""


@dataclass(frozen=True)
class Habit:
    """What some callers do again and again. rest_s: between an answer and the next call."""

    path: str
    body: Body
    rest_s: float
    callers: int = 1
    key: str = OPERATOR


def row(name: str, choices: Sequence[float], datatype: str = "FP32") -> Body:
    """One row of one number, which is one of these."""

    def drawn(chance: random.Random, _: bool) -> dict[str, Any]:
        return {"inputs": [{"name": name, "shape": [1, 1], "datatype": datatype, "data": [chance.choice(choices)]}]}

    return drawn


def too_many(_: random.Random, __: bool) -> dict[str, Any]:
    """More zeros than any memory holds."""
    return {"inputs": [{"name": "sizes", "shape": [2], "datatype": "INT64", "data": [2**30, 2**24]}]}


def sizes(chance: random.Random, changed: bool) -> dict[str, Any]:
    """As in training, or larger."""
    return {"instances": [{"size": chance.gauss(float(changed), 1)} for _ in range(INSTANCES)]}


def loans() -> Body:
    """As in training, or of applicants with half the income; one request in eight asks for more than there is."""
    told = read_manifest(next(SHIPPED.glob("*/manifest.json")))
    assert told
    summaries = {feature: told.summaries[feature.name] for feature in told.features}

    def drawn(chance: random.Random, changed: bool) -> dict[str, Any]:
        found = [{f.name: value(f, one, chance) for f, one in summaries.items()} for _ in range(INSTANCES)]
        for instance in found if changed else ():
            instance["applicant_income"] *= 0.5
        if chance.random() < 1 / 8:
            found[0]["loan_amount"] = 1e6
        return {"instances": found}

    return drawn


def value(feature: Feature, summary: Summary, chance: random.Random) -> Any:
    """By chance, as often as in training."""
    if summary.shares:
        return chance.choices([*summary.shares], [*summary.shares.values()])[0]
    if chance.random() < summary.missing:
        return None
    found = float(np.interp(chance.random(), np.linspace(0, 1, 11), summary.deciles or ()))
    return round(found) if feature.kind == "integer" else found


def habits() -> Sequence[Habit]:
    """All of them."""
    return (
        Habit("/v1/models/loan-risk:predict", loans(), rest_s=0.15),
        Habit("/v1/models/sizes:predict", sizes, rest_s=0.2),
        Habit("/v2/models/prices/versions/1/infer", row("x", [1]), rest_s=0.1),
        Habit("/v2/models/prices/versions/2/infer", row("x", [1]), rest_s=0.1),
        Habit("/v2/models/prices/infer", row("x", [1]), rest_s=0.1, key=SHOP),
        Habit("/v2/models/articles/infer", row("ids", [1, 2, 3, 99], "INT64"), rest_s=0.3),
        Habit("/v2/models/zeros/infer", too_many, rest_s=1),
        Habit("/v2/models/slow/infer", row("x", [20, 20, 20, 300]), rest_s=0.1, callers=6),
        Habit("/v2/models/nothing/infer", row("x", [1]), rest_s=1),
    )


@contextmanager
def observed(folder: Path, changes_s: float = 0) -> Iterator[Prometheus]:
    """Prometheus over the service under load. changes_s: after which callers are others than in training."""
    write_models(folder / "store")
    keys = folder / "keys.yaml"
    keys.write_text(yaml.safe_dump([entry("operator", OPERATOR, 400), entry("shop", SHOP, 20, requests_per_second=4)]))
    certificate, private = self_signed(folder)
    trusted = ssl.create_default_context(cafile=str(certificate))
    flags = ["--workers=2", f"--keys-file={keys}", f"--tls-certificate={certificate}", f"--tls-key={private}"]
    flags += [f"--mirror={folder / 'mirror'}", "--poll-s=1", f"--prediction-log={folder / 'predictions'}"]
    store, log = (folder / "store").as_uri(), folder / "service.log"
    with (
        serving_process(store, log, *flags, trusted=trusted) as (client, _),
        scraping(folder / "prometheus", client.base_url, OPERATOR) as prometheus,
        calling(client.base_url, trusted, changes_s),
    ):
        yield prometheus


def entry(name: str, key: str, days: int, **bounds: float) -> dict[str, Any]:
    """Of the file of keys; the key ends after so many days."""
    ends = datetime.now(UTC).date() + timedelta(days)
    return {"name": name, "sha256": digest(key.encode()), "scopes": ["infer", "read"], "expires": ends, **bounds}


def write_models(models: Path) -> None:
    """Into a folder that serves as the store."""
    shutil.copytree(SHIPPED, models / SHIPPED.name)
    (graphs.add_to_repository(models, "sizes", graphs.times(2)) / "manifest.json").write_text(fitted())
    graphs.add_to_repository(models, "prices", graphs.times(2), config="versions: all")
    graphs.add_to_repository(models, "prices", graphs.times(3), version=2)
    slow = "batching: {max_rows: 1, max_queue_rows: 3}\ninstances: 1\ndeadline_ms: 200"
    graphs.add_to_repository(models, "slow", graphs.as_slow_as_asked(), config=slow)
    graphs.add_to_repository(models, "articles", graphs.embedding(), config="versions: all")
    not_whole = graphs.add_to_repository(models, "articles", graphs.embedding(), version=2)
    (not_whole / "model.onnx").write_bytes(graphs.with_external_weights("not-there.bin"))
    graphs.add_to_repository(models, "zeros", graphs.zeros_of_any_size())
    wrong = {"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[2, 4, 7]]}, "tolerance": 1e-6}
    broken = graphs.add_to_repository(models, "broken", graphs.double(), config="required: false")
    (broken / "manifest.json").write_text(manifest(golden=wrong).model_dump_json())


@contextmanager
def calling(address: httpx.URL, trusted: ssl.SSLContext, changes_s: float) -> Iterator[None]:
    """Everyone calls meanwhile."""
    began, over = monotonic(), Event()

    def follow(habit: Habit, seed: int) -> None:
        chance, headers = random.Random(seed), {"authorization": f"Bearer {habit.key}"}  # noqa: S311
        with httpx.Client(base_url=address, verify=trusted, headers=headers, timeout=30) as client:
            while not over.wait(habit.rest_s):
                client.post(habit.path, json=habit.body(chance, monotonic() - began > changes_s))

    def garble() -> None:
        """What is not HTTP."""
        while not over.wait(1):
            with trusted.wrap_socket(
                socket.create_connection((address.host, address.port)), server_hostname=address.host
            ) as sent:
                sent.sendall(b"not HTTP\r\n\r\n")
                sent.recv(4096)

    everyone = [habit for habit in habits() for _ in range(habit.callers)]
    with ThreadPoolExecutor(len(everyone) + 1) as pool:
        told = [pool.submit(follow, habit, seed) for seed, habit in enumerate(everyone)]
        told.append(pool.submit(garble))
        try:
            yield
        finally:
            over.set()
    for one in told:
        one.result()
