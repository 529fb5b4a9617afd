"""Valid requests to every POST route, changed by chance in their structure, their bytes and their headers."""

import json
import shutil
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.chaos.row import Row
from benchmarks.processes import own_memory_mib
from tests import graphs
from tests.serving import serving_process

SHIPPED = Path(__file__).parents[2] / "models"

WARM_UP = 2000
"""Requests before memory is compared, or half of all."""

HANGS_S = 2.0

EXPLAIN_ROWS = 2100
"""Of the explanations of one request: those of one instance. A caller who asks for those of thirty texts gets a second
of work for each, which is no hang."""

SHOWN = 5
"""Of the slowest requests, where one took too long."""

HEADER_LENGTH = "inference-header-content-length"


@dataclass(frozen=True)
class Request:
    """One that would be answered as it is. value: of a JSON body, or of the JSON in front of the bytes."""

    path: str
    value: Any
    bytes_: bytes = b""


def repository(folder: Path) -> None:
    """The shipped models, and small ones of all datatypes."""
    shutil.copytree(SHIPPED, folder)
    for datatype in graphs.ONNX_TYPES:
        graphs.add_to_repository(folder, f"same-{datatype}", graphs.identity(datatype))
    graphs.add_to_repository(folder, "several", graphs.identities(["FP32", "INT64", "BYTES", "BOOL"]))
    graphs.add_to_repository(folder, "alone", graphs.cumulative_sum())
    graphs.add_to_repository(folder, "victim", graphs.times(2))


def requests_of(client: httpx.Client) -> list[Request]:
    """The service's own examples, binary ones of its float models, and those for whoever runs models."""
    found = [
        Request("/v2/repository/index", {"ready": True}),
        Request("/v2/repository/models/victim/load", {"parameters": {"config": "{}"}}),
        Request("/v2/repository/models/victim/unload", {"parameters": {"unload_dependents": False}}),
    ]
    for name in client.get("/v2/models").json()["models"]:
        if name == "victim":  # it is unloaded now and then
            continue
        told = client.get(f"/v1/models/{name}/metadata").json()
        v1, v2 = told["example"], told["example_v2"]
        paths = f"/v1/models/{name}:predict", f"/v2/models/{name}/infer"
        found += [Request(path, body) for path, body in zip(paths, (v1, v2), strict=True) if body]
        if told["explainable"] and v1:
            found.append(Request(f"/v1/models/{name}:explain", v1 | {"parameters": {"samples": 2}}))
        tensors = v2["inputs"] if v2 else []
        if len(tensors) == 1 and tensors[0]["datatype"] == "FP32":
            [x] = tensors
            numbers = x["data"]
            packed = struct.pack(f"<{len(numbers)}f", *numbers)
            about = {key: x[key] for key in ("name", "shape", "datatype")} | {
                "parameters": {"binary_data_size": len(packed)}
            }
            found.append(Request(f"/v2/models/{name}/infer", {"inputs": [about]}, packed))
    return found


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["FP32", "BYTES", "NaN", "inputs", "data", "", "\0", "-1", "1e999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The value with a part of it exchanged, left out, doubled or renamed."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.integers(0, 4)):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {draw(st.text(max_size=8)) if name == key else name: one for name, one in value.items()}
            case 2:
                return {**value, draw(st.sampled_from(["id", "outputs", "parameters", "x"])): draw(JSON)}
        return {name: draw(mutated(one)) if name == key else one for name, one in value.items()}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value[:place] + [value[place]] * draw(st.integers(2, 50)) + value[place:]
        return [draw(mutated(one)) if at == place else one for at, one in enumerate(value)]
    return draw(JSON)


@st.composite
def cut_up(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some of them changed, left out or put in."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 3)):
            case 0:
                content = content[:at]
            case 1:
                content = content[:at] + draw(st.binary(max_size=8)) + content[at:]
            case 2:
                content = content[:at] + draw(st.binary(min_size=1, max_size=4)) + content[at + 1 :]
            case 3:
                content = content[:at] + content[at + draw(st.integers(1, 20)) :]
    return content


HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "accept-encoding", HEADER_LENGTH, "x-request-id", "accept"]),
    st.sampled_from(
        ["", "gzip", "deflate", "br", "identity", "application/json", "text/html", "0", "-1", "7", "1e9", "a, b"]
    ),
    max_size=2,
)


def sent(request: Request) -> st.SearchStrategy[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of what comes of a request."""

    @st.composite
    def build(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
        how = draw(st.integers(0, 9))
        value = request.value if how in (0, 1, 2) else draw(mutated(request.value))
        head = json.dumps(value).encode(errors="surrogatepass")
        headers = {HEADER_LENGTH: str(len(head))} if request.bytes_ else {}
        body = head + request.bytes_
        if how in (1, 2, 3):
            body = draw(cut_up(body))
        if how in (2, 4):
            headers |= draw(HEADERS)
        if how == 5 and request.bytes_:
            headers[HEADER_LENGTH] = str(draw(st.integers(0, 2 * len(body))))
        return request.path, body, headers

    return build()


class Judge:
    """What came of the requests."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.slowest: list[tuple[float, str]] = []
        """Seconds and what was asked, the longest first."""

    def take(self, client: httpx.Client, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Send one and look at the answer."""
        began = perf_counter()
        try:
            answer = client.post(path, content=body, headers=headers)
        except httpx.HTTPError as error:
            self.wrong.append(f"{error!r}: {path} {headers} {body[:300]!r}")
            return
        took_s = perf_counter() - began
        told = f"{answer.status_code} {path} {headers} {len(body)} bytes: {body[:300]!r}"
        self.slowest = nlargest(SHOWN, [*self.slowest, (took_s, told)])
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code != 501:
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}: {path} {headers} {body[:300]!r}")


def fuzz(folder: Path, requests: int) -> list[Row]:
    """One row; what went wrong is printed."""
    repository(folder / "models")
    judge = Judge()
    flags = ("--repository-control", "--no-log-requests", "--max-explain-rows", str(EXPLAIN_ROWS))
    with serving_process(folder / "models", folder / "log", *flags) as (client, process):
        seeds = requests_of(client)

        def run(count: int) -> None:
            _shower(seeds, count, lambda sent_: judge.take(client, *sent_))()

        warm_up = min(WARM_UP, requests // 2)
        run(warm_up)
        before = own_memory_mib(process.pid)
        run(requests - warm_up)
        grown = own_memory_mib(process.pid) - before
        alive = process.poll() is None and client.get("/health/live").status_code == 200
    for line in judge.wrong[:20]:
        print(line)
    slowest_s = judge.slowest[0][0]
    if slowest_s > HANGS_S:
        for took_s, told in judge.slowest:
            print(f"{took_s:.2f} s: {told}")
    total, statuses = sum(judge.statuses.values()), dict(sorted(judge.statuses.items()))
    kept = alive and not judge.wrong and slowest_s <= HANGS_S and grown < 50
    return [
        Row(
            f"{total} requests to {len({one.path for one in seeds})} POST routes, valid bodies changed by chance, "
            f"explanations of {EXPLAIN_ROWS} rows at most",
            "no 5xx but 501, no crash, none over 2 s, memory grows by less than 50 MiB",
            f"{statuses}; wrong {len(judge.wrong)}; slowest {slowest_s:.2f} s; memory {grown:+.0f} MiB",
            kept,
        )
    ]


def _shower(
    seeds: list[Request], count: int, send: Callable[[tuple[str, bytes, dict[str, str]]], None]
) -> Callable[[], None]:
    @seed(7)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(st.sampled_from(seeds).flatmap(sent))
    def shower(one: tuple[str, bytes, dict[str, str]]) -> None:
        send(one)

    return shower
