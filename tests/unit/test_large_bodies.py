"""A large tensor is copied once on its way from the socket to onnxruntime: when its parts are put together."""

import asyncio
import json
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from app.bodies import read_aligned_body
from app.inference.signature import Signature, TensorSpec
from app.protocols import v2_codec

SIZE = 32 * 2**20
PART = 64 * 1024


def head(size: int, datatype: str, shape: list[int], padding: int = 0) -> bytes:
    entry = {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [entry]}).encode() + b" " * padding


def request_of(parts: Iterator[bytes]) -> Request:
    """As uvicorn hands it to the application."""

    async def receive() -> Message:
        part = next(parts, b"")
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    app = FastAPI()
    app.state.max_body_bytes = 2 * SIZE
    return Request({"type": "http", "method": "POST", "headers": [], "app": app}, receive)


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "FP16", "FP32", "INT64"])
@pytest.mark.parametrize("padding", range(8))  # so that the tensor begins at every place in a word
def test_a_tensor_of_32_mib_is_copied_once(datatype: str, padding: int) -> None:
    items = SIZE // {"BOOL": 1, "UINT8": 1, "FP16": 2, "FP32": 4, "INT64": 8}[datatype]
    text = head(SIZE, datatype, [1, items], padding)
    content = text + b"\x01" * SIZE
    parts = [content[start : start + PART] for start in range(0, len(content), PART)]
    del content
    signature = Signature((TensorSpec("x", datatype, ("batch", None)),), (), batched=True)
    tracemalloc.start()
    body = asyncio.run(read_aligned_body(request_of(iter(parts)), len(text)))
    asked = v2_codec.decode(body, len(text), signature)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < SIZE + 2**20
    assert asked.tensors["x"].flags.aligned
    assert asked.tensors["x"].flags.c_contiguous
    assert np.shares_memory(asked.tensors["x"], np.frombuffer(body, "u1"))
