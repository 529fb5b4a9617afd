"""Right requests made wrong by chance, alike in every run: each is answered, or refused as its caller's mistake."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import graphs
from tests.conformance.cases import CASES, Case
from tests.conformance.models import MODELS
from tests.conformance.wire import HEADER, Request, request
from tests.serving import serving

REQUESTS = 1000
SERVED = [
    *list(MODELS)[::9],
    *(name for name, model in MODELS.items() if model.kind in ("peculiar", "optional-inputs")),
]

JUNK: list[Any] = [None, True, False, 0, -1, 1, 2**63, 2**64, 1e308, -0.0, 0.5, float("nan"), float("inf")]
JUNK += ["", "x", "\0", "é", "NaN", [], [[]], {}, {"a": 1}, [1, [2]], [None], [0] * 40, [-1], [2**31] * 3, [["a"]]]

KEYS = (
    *("name", "shape", "datatype", "data", "parameters", "inputs", "outputs", "id", "instances", "b64", "x", "y"),
    *("binary_data_size", "binary_data", "binary_data_output", "classification", "priority", "timeout"),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for name in dict.fromkeys(SERVED):
        graphs.add_to_repository(folder, name, MODELS[name].graph())
    with serving(folder, log_requests=False) as client:
        yield client


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with a part of it gone, doubled, moved by a little or turned into something else."""
    if chance.random() < 0.12:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        kept = {
            k: mutated(v, chance) if chance.random() < 0.25 else v for k, v in value.items() if chance.random() > 0.04
        }
        return kept | ({chance.choice(KEYS): chance.choice(JUNK)} if chance.random() < 0.2 else {})
    if isinstance(value, list):
        kept_list = [mutated(v, chance) if chance.random() < 0.2 else v for v in value if chance.random() > 0.02]
        return kept_list + (kept_list[:1] if chance.random() < 0.1 else [])
    if isinstance(value, int | float) and chance.random() < 0.3:
        return value + chance.choice([1, -1, 0.5, 2**40])
    return value


def scratched(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, perhaps the end cut off."""
    changed = bytearray(content)
    for _ in range(chance.randrange(3) if content else 0):
        changed[chance.randrange(len(changed))] = chance.choice([0, 1, 128, 255])
    return bytes(changed[: chance.randrange(len(changed))] if content and chance.random() < 0.15 else changed)


def spoiled(case: Case, chance: random.Random) -> Request:
    sent = request(case, case.feed())
    length = int(sent.headers.get(HEADER, len(sent.content)))
    head, tail = sent.content[:length], sent.content[length:]
    if head and chance.random() < 0.85:
        head = json.dumps(mutated(json.loads(head), chance)).encode()
    elif head:
        head = scratched(head, chance)
    if tail:
        tail = scratched(tail, chance)
    sent.content = head + tail
    if length and HEADER in sent.headers:
        sent.headers[HEADER] = str(len(head) + chance.choice([0, 0, 0, 0, 1, -1, 5]))
    return sent


def test_no_mistake_of_a_caller_is_a_fault_of_the_service(client: httpx.Client) -> None:
    chance = random.Random(0)  # noqa: S311
    cases = [case for case in CASES.values() if case.model.name in SERVED and case.encoding not in ("gzip", "deflate")]
    statuses = set()
    for _ in range(REQUESTS):
        sent = spoiled(chance.choice(cases), chance)
        answer = client.post(sent.path, content=sent.content, headers=sent.headers)
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 400), f"{answer.status_code} {sent.path} {sent.headers} {sent.content!r}"
        if answer.status_code == 400:
            assert list(answer.json()) == ["error"]
    assert statuses == {200, 400}
