"""Requests as bytes and answers as arrays, written from the protocols' text and not with the service's code."""

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from tests.conformance.cases import Array, Arrays, Case, difference
from tests.conformance.models import DTYPES, Port

HEADER = "Inference-Header-Content-Length"
SMALLEST_COMPRESSED = 1024
"""Answers from this size on are compressed for who accepts it."""


@dataclass
class Request:
    """asked: the outputs in the order in which they are to come; binary: those of them that are to come as bytes."""

    path: str
    content: bytes
    asked: list[str]
    binary: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)


def request(case: Case, feed: Arrays) -> Request:
    """The case as it goes over the wire."""
    if case.encoding.startswith("v1"):
        return v1_request(case, feed)
    asked = [port.name for port in case.model.outputs]
    path = f"/v2/models/{case.model.name}/infer"
    match case.encoding:
        case "raw":
            [array] = feed.values()
            content = raw(array)
            return Request(path, content, asked, set(asked), {HEADER: "0", "Content-Type": "application/octet-stream"})
        case "flat":
            return v2_request(case, feed, asked, set(), set(), listed=False)
        case "nested":
            return v2_request(case, feed, asked[::-1], set(), set())
        case "binary":
            return v2_request(case, feed, asked, set(feed), set(asked), listed=False)
        case "mixed":
            binary_inputs = {name for place, name in enumerate(feed) if (place + case.turn) % 2}
            binary_outputs = {name for place, name in enumerate(asked) if (place + case.turn) % 2 == 0}
            return v2_request(case, feed, asked[::-1], binary_inputs, binary_outputs)
        case "gzip":
            return compressed(v2_request(case, feed, asked, set(feed), set(asked)), "gzip")
        case "deflate":
            return compressed(v2_request(case, feed, asked, set(), set()), "deflate")
    raise ValueError(case.encoding)


def compressed(made: Request, encoding: str) -> Request:
    made.content = gzip.compress(made.content) if encoding == "gzip" else zlib.compress(made.content)
    made.headers |= {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    return made


def v2_request(
    case: Case, feed: Arrays, asked: list[str], binary_in: set[str], binary_out: set[str], listed: bool = True
) -> Request:
    """listed: the outputs by name, each with its own wish; otherwise one wish for all of them."""
    inputs, blobs = [], []
    for port in case.model.inputs:
        if port.name not in feed:
            continue
        array = feed[port.name]
        entry: dict[str, Any] = {"name": port.name, "datatype": port.datatype, "shape": list(array.shape)}
        if port.name in binary_in:
            blobs.append(to_bytes(array))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        elif case.encoding == "nested" and array.ndim:
            entry["data"] = array.tolist()
        else:
            entry["data"] = array.ravel().tolist()
        inputs.append(entry)
    body: dict[str, Any] = {"id": case.name, "inputs": inputs}
    if listed:
        body["outputs"] = [{"name": name, "parameters": {"binary_data": name in binary_out}} for name in asked]
    elif binary_out:
        body["parameters"] = {"binary_data_output": True}
    text = json.dumps(body, ensure_ascii=case.turn % 2 == 0).encode()
    headers = {HEADER: str(len(text)), "Content-Type": "application/octet-stream"} if blobs else {}
    return Request(
        f"/v2/models/{case.model.name}/infer", b"".join([text, *blobs]), asked, binary_out, {**PLAIN, **headers}
    )


PLAIN = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


def v1_request(case: Case, feed: Arrays) -> Request:
    asked = [port.name for port in case.model.outputs]
    if case.encoding == "v1-columns":
        columns = {name: array.tolist() for name, array in feed.items()}
        body: dict[str, Any] = {"inputs": columns if len(columns) > 1 or case.turn else next(iter(columns.values()))}
    elif len(feed) == 1:
        [array] = feed.values()
        body = {"instances": array.tolist()}
    else:
        names, arrays = list(feed), [array.tolist() for array in feed.values()]
        body = {"instances": [dict(zip(names, row, strict=True)) for row in zip(*arrays, strict=True)]}
    return Request(f"/v1/models/{case.model.name}:predict", json.dumps(body).encode(), asked, headers=dict(PLAIN))


def raw(array: Array) -> bytes:
    """The body of a raw request; a text has no length in front of it."""
    return str(array.item()).encode() if array.dtype == object else array.tobytes()


def to_bytes(array: Array) -> bytes:
    """By the binary tensor data extension."""
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_bytes(blob: bytes, datatype: str, shape: list[int]) -> Array:
    if datatype != "BYTES":
        return np.frombuffer(blob, DTYPES[datatype]).reshape(shape)
    texts, place = [], 0
    while place < len(blob):
        (length,) = struct.unpack_from("<I", blob, place)
        texts.append(blob[place + 4 : place + 4 + length].decode())
        place += 4 + length
    return np.array(texts, object).reshape(shape)


def answers(case: Case, sent: Request, headers: dict[str, str], content: bytes) -> Arrays:
    """The outputs of an answer's decompressed body, everything around them checked. Raises AssertionError."""
    if case.encoding in ("gzip", "deflate") and len(content) >= SMALLEST_COMPRESSED:
        assert headers.get("content-encoding") == case.encoding
    else:
        assert "content-encoding" not in headers
    if case.encoding.startswith("v1"):
        return v1_answers(case, json.loads(content))
    length = headers.get(HEADER.lower())
    assert (length is not None) == bool(sent.binary), f"{HEADER}: {length}"
    assert headers["content-type"] == ("application/octet-stream" if sent.binary else "application/json")
    head, blobs = (content[: int(length)], content[int(length) :]) if length else (content, b"")
    told = json.loads(head)
    assert (told["model_name"], told["model_version"]) == (case.model.name, "1")
    assert told.get("id") == (None if case.encoding == "raw" else case.name)
    assert [one["name"] for one in told["outputs"]] == sent.asked
    ports = {port.name: port for port in case.model.outputs}
    found = {}
    for one in told["outputs"]:
        assert one["datatype"] == ports[one["name"]].datatype
        size = one.get("parameters", {}).get("binary_data_size")
        assert (size is not None) == (one["name"] in sent.binary) == ("data" not in one)
        if size is None:
            found[one["name"]] = np.array(one["data"], DTYPES[one["datatype"]]).reshape(one["shape"])
        else:
            assert size <= len(blobs)
            found[one["name"]] = from_bytes(blobs[:size], one["datatype"], one["shape"])
            blobs = blobs[size:]
    assert not blobs, f"{len(blobs)} bytes too many"
    return found


def v1_answers(case: Case, told: dict[str, Any]) -> Arrays:
    ports = case.model.outputs
    if case.encoding == "v1-columns":
        columns = told["outputs"] if len(ports) > 1 else {ports[0].name: told["outputs"]}
    elif len(ports) > 1:
        columns = {port.name: [row[port.name] for row in told["predictions"]] for port in ports}
    else:
        columns = {ports[0].name: told["predictions"]}
    assert set(columns) == {port.name for port in ports}
    return {port.name: typed(columns[port.name], port) for port in ports}


def typed(value: Any, port: Port) -> Array:
    return np.array(value, DTYPES[port.datatype])


def problem(client: httpx.Client, case: Case) -> str:
    """What is wrong with the answer to a case; empty if it is onnxruntime's."""
    feed = case.feed()
    sent = request(case, feed)
    answer = client.post(sent.path, content=sent.content, headers=sent.headers)
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    try:
        got = answers(case, sent, dict(answer.headers), answer.content)
    except (AssertionError, KeyError, ValueError) as error:
        return f"{error!r} in {answer.content[:500]!r}"
    wrong = {name: difference(wanted, got[name], case.model.tolerance) for name, wanted in case.expected(feed).items()}
    return "; ".join(f"{name}: {told}" for name, told in wrong.items() if told)
