"""Bodies at the edges of the protocols, over a socket: compression, lengths, parameters, numbers, depth, sizes of 0."""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from itertools import product
from time import monotonic
from typing import Any

import httpx
import numpy as np
import pytest

from app.compression import MOST_MEMBERS
from tests import graphs
from tests.serving import serving

INFER, PREDICT = "/v2/models/double/infer", "/v1/models/double:predict"
HEADER = "Inference-Header-Content-Length"
X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
BODY = json.dumps({"inputs": [X]}).encode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for datatype in graphs.ONNX_TYPES:
        graphs.add_to_repository(folder, f"same-{datatype}", graphs.identity(datatype, ("batch", None)))
    graphs.add_to_repository(folder, "double", graphs.double())
    graphs.add_to_repository(folder, "add", graphs.add())
    graphs.add_to_repository(folder, "pair-of-texts", graphs.identity("BYTES"))
    graphs.add_to_repository(folder, "score", graphs.double(("batch",)))
    with serving(folder) as client:
        yield client


def outputs(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def refused(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", gzip.compress(BODY[:20]) + gzip.compress(b"") + gzip.compress(BODY[20:])),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("", BODY),
    ],
)
def test_a_body_is_read_in_every_encoding_that_is_served(client: httpx.Client, encoding: str, content: bytes) -> None:
    assert outputs(client.post(INFER, content=content, headers={"content-encoding": encoding}))[0]["data"] == [2, 4, 6]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate", "gzip,gzip", "identity, gzip", ","])
def test_another_encoding_is_refused_with_those_that_are_served(client: httpx.Client, encoding: str) -> None:
    answer = client.post(INFER, content=BODY, headers={"content-encoding": encoding})
    assert refused(answer, 415) == f"Content-Encoding {encoding}, wanted gzip, deflate or none"
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("encoding", "content", "sentence"),
    [
        ("gzip", gzip.compress(BODY) + gzip.compress(BODY)[:-5], "the body is not gzip: it breaks off"),
        ("gzip", gzip.compress(BODY) + b"\0" * 8, "the body is not gzip: "),
        ("gzip", b"", "the body is not gzip: it breaks off"),
        ("deflate", zlib.compress(BODY) + zlib.compress(b""), "the body is not deflate: it goes on"),
        ("gzip", gzip.compress(b"") * (MOST_MEMBERS + 1), f"more gzip members, wanted at most {MOST_MEMBERS}"),
    ],
)
def test_compressed_data_that_break_off_or_go_on_are_refused(
    client: httpx.Client, encoding: str, content: bytes, sentence: str
) -> None:
    assert sentence in refused(client.post(INFER, content=content, headers={"content-encoding": encoding}))


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("gzip;q=0.5, deflate", "deflate"),
        ("deflate;q=0.1, gzip;q=0.2", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=abc", "gzip"),
        ("br, zstd", None),
        (";;;,,,", None),
        ("", None),
    ],
)
def test_an_answer_takes_the_encoding_that_its_caller_likes_best(
    client: httpx.Client, accepted: str, used: str | None
) -> None:
    body = {"inputs": [{**X, "shape": [500, 3], "data": [1] * 1500}]}
    answer = client.post(INFER, json=body, headers={"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == used
    assert outputs(answer)[0]["data"] == [2] * 1500


@pytest.mark.parametrize(
    "length", ["0x10", "1_0", "+5", "", "٣", "1e2", "-0", "18446744073709551616", "5,5", "5;q", "1 0"]
)
def test_a_header_length_in_odd_digits_is_refused(client: httpx.Client, length: str) -> None:
    assert HEADER in refused(client.post(INFER, content=BODY, headers={HEADER.encode(): length.encode()}))


def test_two_header_lengths_are_refused_unless_they_agree(client: httpx.Client) -> None:
    length = str(len(BODY))
    assert HEADER in refused(client.post(INFER, content=BODY, headers=[(HEADER, length), (HEADER, "5")]))
    assert outputs(client.post(INFER, content=BODY, headers=[(HEADER, length)] * 2))[0]["data"] == [2, 4, 6]


@pytest.mark.parametrize(
    ("model", "content", "sentence"),
    [
        ("double", b"", "x: 0 bytes, wanted 12 for FP32 [1, 3]"),
        ("double", b"1234567890123", "x: 13 bytes, wanted 12 for FP32 [1, 3]"),
        ("add", b"12345678", "a raw request is for models with one input; this one takes 2"),
        ("pair-of-texts", b"a", "a raw request holds one text; x takes [-1, 2]"),
        ("same-BYTES", b"\xff", "x[0]: not UTF-8: invalid start byte at byte 0"),
        ("same-BOOL", b"\x02", "x: a byte of 2, wanted 0 or 1 (BOOL)"),
        ("same-INT64", b"1234567", "x: 7 bytes, wanted 0 for INT64 [1, 0]"),
    ],
)
def test_a_raw_request_that_is_not_the_only_input_is_refused(
    client: httpx.Client, model: str, content: bytes, sentence: str
) -> None:
    answer = client.post(f"/v2/models/{model}/infer", content=content, headers={HEADER: "0"})
    assert refused(answer) == sentence


def test_a_header_length_of_the_whole_body_is_json_alone(client: httpx.Client) -> None:
    assert outputs(client.post(INFER, content=BODY, headers={HEADER: str(len(BODY))}))[0]["data"] == [2, 4, 6]


@pytest.mark.parametrize(
    ("path", "wrapped"), list(product([INFER, PREDICT], [b"%s", b'{"inputs": %s}', b'{"instances": %s}']))
)
@pytest.mark.parametrize(
    "deep",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 1000 + b"1" + b"]" * 1000,
        b"[" * 100_000 + b"NaN" + b"]" * 100_000,  # tokens take another parser
    ],
    ids=["open", "closed", "objects", "just-readable", "tokens"],
)
def test_json_nested_deeply_is_refused_at_once(client: httpx.Client, path: str, wrapped: bytes, deep: bytes) -> None:
    started = monotonic()
    refused(client.post(path, content=wrapped % deep))
    assert monotonic() - started < 5  # milliseconds, on a machine of its own
    assert client.get("/health/live").status_code == 200


WHOLE = {
    "1e3": 1000,
    "1.0": 1,
    "-0": 0,
    "-0.0": 0,
    "0.1e1": 1,
    "9007199254740991.0": 2**53 - 1,
    "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "18446744073709551615": 2**64 - 1,
    "12345678901234567890": 12345678901234567890,
}
"""JSON's digits -> the integer that they are."""


@pytest.mark.parametrize(("digits", "wanted"), WHOLE.items())
@pytest.mark.parametrize("tokens", [False, True])  # NaN elsewhere in the body takes another parser
def test_whole_numbers_are_exact_whichever_way_they_are_written(
    client: httpx.Client, digits: str, wanted: int, tokens: bool
) -> None:
    datatype = "UINT64" if wanted >= 2**63 else "INT64"
    ignored = '"ignored": NaN, ' if tokens else ""
    entry = f'{{"name": "x", "shape": [1, 1], "datatype": "{datatype}", "data": [{digits}]}}'
    answer = client.post(f"/v2/models/same-{datatype}/infer", content=f'{{{ignored}"inputs": [{entry}]}}'.encode())
    assert outputs(answer)[0]["data"] == [wanted]
    by_hand = f'{{{ignored}"instances": [[{digits}]]}}'.encode()
    assert client.post(f"/v1/models/same-{datatype}:predict", content=by_hand).json() == {"predictions": [[wanted]]}


@pytest.mark.parametrize(
    ("datatype", "digits"),
    [
        ("INT64", "9223372036854775808"),
        ("INT64", "-9223372036854775809"),
        ("UINT64", "18446744073709551616"),
        ("UINT64", "99999999999999999999"),
        ("UINT64", "-1"),
        ("INT64", "9007199254740993.0"),  # as a float it is its neighbour
        ("INT64", "1.5"),
        ("INT64", "NaN"),
        ("INT64", "Infinity"),
        ("INT64", "true"),
        ("INT64", '"1"'),
        ("INT64", "null"),
        ("INT8", "128"),
        ("FP16", "65520"),
        ("FP32", "3.5e38"),
        ("FP64", "1e400"),
        ("BOOL", "2"),
        ("BOOL", "0.5"),
        ("BYTES", "1"),
    ],
)
def test_a_number_that_would_change_is_refused_in_both_protocols(
    client: httpx.Client, datatype: str, digits: str
) -> None:
    entry = f'{{"name": "x", "shape": [1, 1], "datatype": "{datatype}", "data": [{digits}]}}'
    refused(client.post(f"/v2/models/same-{datatype}/infer", content=f'{{"inputs": [{entry}]}}'.encode()))
    refused(client.post(f"/v1/models/same-{datatype}:predict", content=f'{{"instances": [[{digits}]]}}'.encode()))


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        (
            {"parameters": {"triton_enable_empty_final_response": True}},
            400,
            "names that begin with triton_ are reserved",
        ),
        ({"parameters": {"a": None}}, 400, "parameter a is null, wanted a string, a number or a boolean"),
        ({"parameters": {"a": [1]}}, 400, "parameter a is a list"),
        ({"parameters": {"headers": {}}}, 400, "parameter headers is an object"),
        ({"parameters": []}, 400, "parameters are a list, wanted an object"),
        ({"parameters": {"priority": "1"}}, 400, "parameter priority: '1', wanted an integer from 0"),
        ({"parameters": {"priority": True}}, 400, "parameter priority: True, wanted an integer from 0"),
        ({"parameters": {"timeout": -1}}, 400, "parameter timeout: -1, wanted an integer from 0"),
        (
            {"parameters": {"binary_data_output": "true"}},
            400,
            "parameter binary_data_output: 'true', wanted true or false",
        ),
        ({"parameters": {"sequence_id": 7}}, 501, "models with state are not served"),
        ({"outputs": {}}, 400, "outputs: an object, wanted a list of objects"),
        ({"outputs": ""}, 400, "outputs: a string, wanted a list of objects"),
        ({"outputs": False}, 400, "outputs: false, wanted a list of objects"),
        ({"outputs": [{"name": "z"}]}, 400, "outputs[0]: 'z', wanted one of y, each once"),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, 400, "outputs[1]: 'y', wanted one of y, each once"),
        (
            {"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
            501,
            "shared memory are not served",
        ),
        ({"inputs": [{**X, "parameters": {"shared_memory_region": "r"}}]}, 501, "shared memory are not served"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 12}}]}, 400, "both data and binary_data_size"),
        ({"inputs": [X, X]}, 400, "input x is given twice"),
        ({"inputs": [{**X, "shape": [1.5, 3]}]}, 400, "wanted a list of integers that are 0 or more"),
        ({"inputs": [{**X, "shape": [2**63, 3]}]}, 400, "wanted at most"),
        ({"inputs": [{**X, "datatype": "fp32"}]}, 400, "datatype 'fp32', wanted one of BOOL"),
        ({"inputs": [{**X, "data": [[1, 2], [3]]}]}, 400, "nested data do not have shape [1, 3]"),
        ({"id": 1}, 400, "id: a number, wanted a string"),
        ({"inputs": []}, 400, "missing input x"),
    ],
)
def test_a_field_of_another_kind_is_told(
    client: httpx.Client, changes: dict[str, Any], status: int, sentence: str
) -> None:
    assert sentence in refused(client.post(INFER, json={"inputs": [X], **changes}), status)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outputs": []},
        {"outputs": None},
        {"id": None},
        {"parameters": None},
        {"parameters": {"sequence_id": 0, "sequence_start": False, "sequence_end": False}},
        {"parameters": {"priority": 0, "timeout": 0, "note": "text", "factor": 1.5, "flag": True}},
        {"another": {"key": [1]}},
    ],
)
def test_what_is_left_empty_is_left_out(client: httpx.Client, changes: dict[str, Any]) -> None:
    answer = client.post(INFER, json={"inputs": [X], **changes})
    assert outputs(answer)[0]["data"] == [2, 4, 6]
    assert "id" not in answer.json()


@pytest.mark.parametrize(("datatype", "shape"), list(product(graphs.ONNX_TYPES, [(0, 2), (2, 0), (0, 0)])))
@pytest.mark.parametrize("binary", [True, False])
def test_a_tensor_without_elements_goes_both_ways(
    client: httpx.Client, datatype: str, shape: tuple[int, int], binary: bool
) -> None:
    entry: dict[str, Any] = {"name": "x", "shape": shape, "datatype": datatype}
    if binary:
        entry["parameters"] = {"binary_data_size": 0}
    else:
        entry["data"] = []
    content = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": binary}}).encode()
    headers = {HEADER: str(len(content))} if binary else {}
    answer = client.post(f"/v2/models/same-{datatype}/infer", content=content, headers=headers)
    told = outputs(answer)
    assert told[0]["shape"] == list(shape)
    assert told[0].get("parameters") == ({"binary_data_size": 0} if binary else None)
    assert answer.headers.get(HEADER) == (str(len(answer.content)) if binary else None)


@pytest.mark.parametrize(
    ("model", "datatype", "shape", "data", "wanted"),
    [
        ("double", "FP32", [0, 3], [], []),
        ("same-FP32", "FP32", [2, 0], [], []),
        ("score", "FP32", [3], [1, 3, 2], ["2.000000:0", "6.000000:0", "4.000000:0"]),
        ("same-UINT64", "UINT64", [1, 2], [2**64 - 2, 2**64 - 1], ["18446744073709551615:1", "18446744073709551614:0"]),
        ("same-INT64", "INT64", [1, 2], [-(2**63), 2**63 - 1], ["9223372036854775807:1", "-9223372036854775808:0"]),
        ("same-FP32", "FP32", [1, 2], [float("nan"), 1], ["1.000000:1", "nan:0"]),
    ],
)
def test_classes_are_told_of_each_row_the_largest_value_first(
    client: httpx.Client, model: str, datatype: str, shape: list[int], data: list[float], wanted: list[str]
) -> None:
    entry = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    body = {"inputs": [entry], "outputs": [{"name": "y", "parameters": {"classification": 5}}]}
    [output] = outputs(client.post(f"/v2/models/{model}/infer", content=json.dumps(body).encode()))
    assert (output["data"], output["datatype"]) == (wanted, "BYTES")
    assert output["shape"] == [shape[0], shape[1] if len(shape) > 1 else 1]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_a_body_in_pieces_of_any_size_is_one_body(client: httpx.Client, encoding: str) -> None:
    x = np.arange(12, dtype="<f4").reshape(4, 3)
    entry = {"name": "x", "shape": x.shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [entry]}).encode()
    content = head + x.tobytes()
    packed = {"identity": content, "gzip": gzip.compress(content), "deflate": zlib.compress(content)}[encoding]
    for size in (1, 7, len(head)):
        pieces = (packed[start : start + size] for start in range(0, len(packed), size))
        headers = {HEADER: str(len(head)), "content-encoding": encoding}
        assert outputs(client.post(INFER, content=pieces, headers=headers))[0]["data"] == (2 * x).ravel().tolist()


def test_many_texts_are_walked_to_their_exact_end(client: httpx.Client) -> None:
    texts = b"".join(struct.pack("<I", 6) + b"%06d" % place for place in range(200_000))
    size = len(texts)
    entry = {"name": "x", "shape": [1000, 200], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    answer = client.post("/v2/models/same-BYTES/infer", content=text + texts, headers={HEADER: str(len(text))})
    assert answer.status_code == 200, answer.text
    assert answer.content[int(answer.headers[HEADER]) :] == texts
    short = client.post("/v2/models/same-BYTES/infer", content=text + texts[:-1], headers={HEADER: str(len(text))})
    assert f"binary_data_size {size}, the body has {size - 1} more bytes" in refused(short)


def test_large_tensors_at_every_place_in_a_word_are_added_as_they_are(client: httpx.Client) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 100_000, 2)).astype(np.float32)
    for padding in range(4):
        entries = [
            {"name": name, "shape": a.shape, "datatype": "FP32", "parameters": {"binary_data_size": a.nbytes}}
            for name in ("a", "b")
        ]
        text = json.dumps({"inputs": entries, "outputs": [{"name": "total", "parameters": {"binary_data": True}}]})
        head = text.encode() + b" " * padding
        content = head + a.tobytes() + b.tobytes()
        answer = client.post("/v2/models/add/infer", content=content, headers={HEADER: str(len(head))})
        total = np.frombuffer(answer.content[int(answer.headers[HEADER]) :], "<f4").reshape(a.shape)
        np.testing.assert_array_equal(total, a + b)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/dou%62le", 200),
        ("/v2/models/same%2DBOOL", 200),
        ("/v2/models/double/versions/%31", 200),
        ("/v2/models/double?ignored=1", 200),
        ("/v1/models/dou%62le", 200),
        ("/v2/", 404),
        ("/v2/models/", 404),
        ("/v2/models/double/", 404),
        ("/v2//models/double", 404),
        ("/v2/models/double%2F", 404),
        ("/v2/models/double%00", 404),
        ("/v2/models/%E9", 404),
        ("/v2/models/double%20", 404),
        ("/v2/models/double/versions/01", 404),
        ("/v2/models/double/versions/+1", 404),
        ("/v2/models/double/versions/1%0A", 404),
        ("/v1/models/", 404),
    ],
)
def test_a_path_names_a_model_or_nothing(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    if status == 404:
        refused(answer, 404)
