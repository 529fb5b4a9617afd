"""What is read of large bodies by another parser is, to the bit and to the word, what the usual way gives."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference.signature import DTYPES, Signature, TensorSpec
from app.protocols import numbers, v1_codec, v2_codec
from app.protocols.allowance import BodyLimits

NUMERIC = [name for name in DTYPES if name not in ("BOOL", "BYTES")]

EDGES = [
    "0",
    "-0",
    "-0.0",
    "1",
    "2.0",
    "1e2",
    "1E-2",
    "-3",
    "0.1",
    "127",
    "128",
    "255",
    "-128",
    "65504",
    "65520",
    "7e4",
]
EDGES += ["2147483648", "9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615"]
EDGES += [
    "16777217",
    "3.4028235677973366e38",
    "1e39",
    "5e-324",
    "1e-46",
    "1.00000005960464477539",
    "1e-400",
    "0.0e99999",
]

WRONG = [
    "1e400",
    "18446744073709551616",
    "-9223372036854775809",
    "NaN",
    "-Infinity",
    "true",
    "null",
    '"1"',
    '"]"',
    "[1]",
]
WRONG += [
    "[]",
    "[[]]",
    "{}",
    '{"data":[1]}',
    "",
    "01",
    "1.",
    "+1",
    "1 2",
    "\\u0031",
    "\xff",
    "[",
    "]",
    "}",
    ",",
    "/**/",
]

SPACES = ["", "", "", " ", "\n", "\t\r"]


def numbers_of(datatype: str, chance: random.Random) -> str:
    if chance.random() < 0.15:
        return chance.choice(EDGES)
    if datatype.startswith("FP"):
        return repr(chance.uniform(-9, 9) * 10 ** chance.randint(-3, 3))
    return str(chance.randint(0, 100))


def nested(shape: tuple[int, ...], datatype: str, chance: random.Random) -> str:
    """A JSON array of the shape, of numbers that fit and sometimes of others, with something wrong in every other."""
    if not shape:
        return numbers_of(datatype, chance) if chance.random() > 0.01 else chance.choice(WRONG)
    parts = [nested(shape[1:], datatype, chance) for _ in range(shape[0])]
    if chance.random() < 0.03:
        parts.append(chance.choice([*WRONG, *parts]))
    space = chance.choice(SPACES)
    return f"[{space}" + f"{space},".join(parts) + f"{space}]"


def scratched(text: str, chance: random.Random) -> bytes:
    """In every third text a part cut out, doubled, or another put in."""
    start = chance.randrange(len(text))
    end = min(len(text), start + chance.randrange(1, 9))
    part = chance.choice(["", text[start:end] * 2, *WRONG, *EDGES, '"data":[2],', '"data":', '"instances":[3],', "\\"])
    return (text if chance.random() < 0.67 else text[:start] + part + text[end:]).encode("latin-1")


def outcome(decode: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, least_bytes: int) -> Any:
    monkeypatch.setattr(numbers, "LEAST_BYTES", least_bytes)
    try:
        return {
            name: (t.dtype.str, t.shape, t.tolist(), t.tobytes() if t.dtype != object else 0)
            for name, t in decode().tensors.items()
        }
    except InvalidInput as refusal:
        return str(refusal)


def check(decode: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, body: bytes) -> bool:
    """Whether the body is right; both ways have to agree on that."""
    read, usual = (outcome(decode, monkeypatch, least) for least in (0, 2**40))
    assert repr(read) == repr(usual), body
    return not isinstance(usual, str)


def v2_input(name: str, chance: random.Random) -> str:
    datatype = chance.choice(NUMERIC) if chance.random() < 0.95 else chance.choice(["BOOL", "BYTES", "FP33"])
    shape = tuple(chance.choice([0, 1, 1, 2, 2, 3]) for _ in range(chance.choice([0, 1, 1, 2, 2, 3])))
    flat = (int(np.prod(shape, dtype=int)),)
    sent = chance.choice([shape, flat, flat]) if chance.random() < 0.9 else (2, 2)
    entry = [
        f'"name":"{name}"',
        f'"shape":{json.dumps(shape)}',
        f'"datatype":"{datatype}"',
        f'"data"{chance.choice(SPACES)}:{chance.choice(SPACES)}{nested(sent, datatype, chance)}',
    ]
    chance.shuffle(entry)
    return "{" + ",".join(entry) + "}"


def v2_body(chance: random.Random) -> bytes:
    inputs = ",".join(v2_input(name, chance) for name in chance.choice([("x",), ("x", "y"), ("data", "x"), ("x", "x")]))
    members = [f'"inputs":[{inputs}]']
    if chance.random() < 0.3:
        members.append(
            chance.choice(['"id":"data"', '"id":"a\\"data\\":[1]"', '"data":[]', '"x":{"data":[1,2]}', '"id":"é["'])
        )
    chance.shuffle(members)
    return scratched("{" + ",".join(members) + "}", chance)


def v1_body(datatype: str, chance: random.Random) -> bytes:
    shape = tuple(chance.choice([0, 1, 2, 3]) for _ in range(chance.choice([0, 1, 2, 2, 3])))
    members = [f'"{chance.choice(["instances", "inputs"])}":{nested(shape, datatype, chance)}']
    if chance.random() < 0.3:
        members.append(chance.choice(['"instances":[[1]]', '"signature_name":"inputs"', '"x":{"instances":[]}']))
    chance.shuffle(members)
    return scratched("{" + ",".join(members) + "}", chance)


@pytest.mark.parametrize("datatype", NUMERIC)
@pytest.mark.parametrize("shape", [(1000,), (40, 30), (3, 20, 20), (1, 1500, 1)])
def test_a_large_regular_array_is_read_without_the_usual_way(datatype: str, shape: tuple[int, ...]) -> None:
    wanted = np.arange(100, 100 + np.prod(shape)).reshape(shape) % 127
    entry = {"name": "x", "shape": shape, "datatype": datatype, "data": wanted.tolist()}
    request = numbers.parse_inputs(json.dumps({"inputs": [entry]}).encode())
    assert request is not None
    assert request["inputs"][0]["data"].dtype == DTYPES[datatype]
    assert np.array_equal(request["inputs"][0]["data"], wanted)
    signature = Signature((TensorSpec("x", datatype, ("n",)),), (), False)
    for key in ("instances", "inputs"):
        rows = numbers.parse_rows(json.dumps({key: wanted.tolist()}, indent=None).encode(), signature)
        assert rows is not None
        assert np.array_equal(rows[key], wanted)


def test_small_and_huge_bodies_are_read_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"inputs": [{"name": "x", "shape": [1000], "datatype": "FP32", "data": [0] * 1000}]}).encode()
    monkeypatch.setattr(numbers, "LEAST_BYTES", len(body) + 1)
    assert numbers.parse_inputs(body) is None
    monkeypatch.setattr(numbers, "LEAST_BYTES", 0)
    monkeypatch.setattr(numbers, "MOST_BYTES", len(body) - 1)
    assert numbers.parse_inputs(body) is None


OUT = (TensorSpec("y", "FP32", ("n",)),)


@pytest.mark.parametrize("turn", range(20))
def test_v2_requests_right_and_wrong_are_read_alike(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(turn)  # noqa: S311
    right = 0
    for _ in range(250):
        body = v2_body(chance)
        right += check(lambda: v2_codec.decode(body, None, Signature((), OUT, False)), monkeypatch, body)  # noqa: B023
    assert 50 < right < 230


@pytest.mark.parametrize("turn", range(20))
def test_v1_tensors_right_and_wrong_are_read_alike(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(turn)  # noqa: S311
    limits = BodyLimits(1, 1)
    right = 0
    for _ in range(250):
        datatype = chance.choice(list(DTYPES))
        signature = Signature((TensorSpec("x", datatype, ("n", None)),), OUT, False)
        body = v1_body(datatype, chance)
        right += check(lambda: v1_codec.decode(body, signature, None, limits), monkeypatch, body)  # noqa: B023
    assert 50 < right < 230
