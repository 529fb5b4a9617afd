"""The KServe SDK's REST client against a served socket, and its classes on resources; prints what came back as JSON.

Runs in .venv-kserve, which has the SDK and nothing of the service:
`python -m tests.clients.kserve_calls http://127.0.0.1:8000`, with the resources, a JSON list, on its standard input.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.clients.kserve_resources import problems

SAMPLES: dict[str, np.ndarray[Any, Any]] = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([[0, 255], [1, 2]], np.uint8),
    "UINT16": np.array([[0, 2**16 - 1], [1, 2]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1], [1, 2]], np.uint64),
    "INT8": np.array([[-128, 127], [1, 2]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1], [1, 2]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1], [1, 2]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1], [2**53 + 1, 2]], np.int64),
    "FP16": np.array([[0.5, -65504], [6e-8, 2]], np.float16),
    "FP32": np.array([[0.1, -3e38], [1e-45, 2]], np.float32),
    "FP64": np.array([[0.1, 1e300], [5e-324, 2]], np.float64),
    "BYTES": np.array([[b"a", "é".encode()], [b"", b"b" * 1000]], object),
}

AS_A_DICT = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [[2**53 + 1, 2]]}]}

Report = dict[str, Any]


def request(model: str, arrays: dict[str, np.ndarray[Any, Any]], datatype: str, binary: bool, **more: Any) -> Any:
    inputs = []
    for name, array in arrays.items():
        given = InferInput(name, list(array.shape), datatype)
        given.set_data_from_numpy(array, binary_data=binary)
        inputs.append(given)
    return InferRequest(model, inputs, **more)


async def refusal(call: Awaitable[Any]) -> list[Any]:
    """The status and the text of an error; what came back if there was none."""
    try:
        return [200, str(await call)]
    except httpx.HTTPStatusError as error:
        return [error.response.status_code, str(error)]


async def health(url: str, v1: Any, v2: Any) -> Report:
    return {
        "v2 live": await v2.is_server_live(url),
        "v2 ready": await v2.is_server_ready(url),
        "v1 live": await v1.is_server_live(url),
        "v2 model": await v2.is_model_ready(url, "add"),
        "v1 model": await v1.is_model_ready(url, "add"),
        "v2 nobody": await v2.is_model_ready(url, "nobody"),
        "v1 nobody": await refusal(v1.is_model_ready(url, "nobody")),
    }


async def round_trips(url: str, v2: Any) -> Report:
    """What each datatype became, by how it went there and how it came back; the client sends FP16 in binary alone."""
    report: Report = {}
    for datatype, array in SAMPLES.items():
        for binary_in, binary_out in ((True, True), (True, False), (False, True), (False, False)):
            if datatype == "FP16" and not binary_in:
                continue
            wanted = [RequestedOutput("y", parameters={"binary_data": binary_out})]
            asked = request(f"same-{datatype}", {"x": array}, datatype, binary_in, request_outputs=wanted)
            output = (await v2.infer(url, asked, model_name=f"same-{datatype}")).outputs[0]
            got = output.as_numpy()
            texts = [text if isinstance(text, bytes) else str(text).encode() for text in got.ravel().tolist()]
            same = texts == array.ravel().tolist() if datatype == "BYTES" else np.array_equal(got, array)
            report[f"{datatype} {binary_in} {binary_out}"] = [bool(same), output.datatype, output.shape]
    return report


async def at_once(url: str, v2: Any) -> list[bool]:
    """A hundred callers, each with numbers of its own."""

    async def call(seed: int) -> bool:
        a, b = np.random.default_rng(seed).standard_normal((2, 1 + seed % 4, 2)).astype(np.float32)
        asked = request("add", {"a": a, "b": b}, "FP32", seed % 2 == 0, request_id=str(seed))
        answer = await v2.infer(url, asked, model_name="add")
        totals = {output.name: output.as_numpy() for output in answer.outputs}
        return answer.id == str(seed) and np.array_equal(totals["total"], a + b)

    return [bool(own) for own in await asyncio.gather(*map(call, range(100)))]


async def empty(url: str, v2: Any) -> list[Any]:
    """A tensor without rows; the client sends it as binary data of no bytes beside `data: null`, without a header."""
    asked = request("same-FP32", {"x": np.zeros((0, 2), np.float32)}, "FP32", True)
    [output] = (await v2.infer(url, asked, model_name="same-FP32")).outputs
    return [output.shape, output.as_numpy().tolist()]


async def main(url: str) -> Report:
    async with (
        InferenceRESTClient(RESTConfig(protocol="v1")) as v1,
        InferenceRESTClient(RESTConfig(protocol="v2")) as v2,
    ):
        wrong = request("add", {"a": SAMPLES["FP32"]}, "FP32", True)
        return {
            "health": await health(url, v1, v2),
            "round trips": await round_trips(url, v2),
            "at once": await at_once(url, v2),
            "v1": await v1.infer(url, {"instances": [{"a": [1, 2], "b": [3, 4]}]}, model_name="add"),
            "v1 at once": await asyncio.gather(
                *(v1.infer(url, {"instances": [[i, 0]]}, model_name="same-INT64") for i in range(50))
            ),
            "v2 as a dict": (await v2.infer(url, AS_A_DICT, model_name="same-INT64")).outputs[0].data,
            "missing input": await refusal(v2.infer(url, wrong, model_name="add")),
            "unknown model": await refusal(v2.infer(url, wrong, model_name="nobody")),
            "v1 mistake": await refusal(v1.infer(url, {"instances": 1}, model_name="add")),
            "empty": await empty(url, v2),
        }


if __name__ == "__main__":
    resources = [problems(resource) for resource in json.load(sys.stdin)]
    print(json.dumps({**asyncio.run(main(sys.argv[1])), "resources": resources}))
