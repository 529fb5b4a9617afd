"""Bodies that are known by what stands around their numbers give what each of them gives by itself, or nothing."""

from itertools import product
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import ServingError
from app.inference.batch import Rows
from app.inference.model import Model, open_version
from app.inference.signature import Tensors
from app.manifest import ModelConfig
from app.metrics import Metrics
from app.protocols import v2_codec
from app.protocols.numbers import LEAST_BYTES
from app.protocols.together import cut, pieces_of
from app.protocols.v2_together import LARGEST_FRAME, MOST_FRAMES, V2Codec
from tests import graphs

HEAD = b'{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":['

TAIL = b"]}]}"

OTHER_HEAD = b'{"inputs":[{"shape":[2,1],"name":"x","datatype":"FP32","data":['

ONE_HEAD = HEAD.replace(b"[2,1]", b"[1,1]")

WHOLE = [
    HEAD + b"1,2" + TAIL,
    HEAD + b"[1],[2]" + TAIL,
    HEAD + b"[1],[2]" + TAIL[1:],
    HEAD + b" 1 ,\n-2e3 " + TAIL,
    HEAD + b"1,2],[2]" + TAIL,
    HEAD + b"1,2],[3" + TAIL,
    HEAD + b"[1,2],[3]" + TAIL,
    HEAD + b'1,2],"data":[3,4' + TAIL,
    HEAD + b'1,2],"d\\u0061ta":[3,4' + TAIL,
    HEAD + b'1,2],"a":"' + b"]" + b'","b":[3' + TAIL,
    OTHER_HEAD + b"1,2" + TAIL,
    ONE_HEAD + b"1" + TAIL,
    b'{"id":"mine",' + HEAD[1:] + b"1,2" + TAIL,
    b'{"id":"\\"data\\":[",' + HEAD[1:] + b"1,2" + TAIL,
    b'{"id":"x\\",\\"data\\":[1,2],\\"",' + HEAD[1:] + b"1,2" + TAIL,
    b'{"inputs":[{"d\\u0061ta":[5,6],' + HEAD[len(b'{"inputs":[{') :] + b"1,2" + TAIL,
    b'{"id":null,' + HEAD[1:] + b"1,2" + TAIL,
    b'{"id":5,' + HEAD[1:] + b"1,2" + TAIL,
]

TEXTS = [
    b"1,2",
    b"-0.0,1e-45",
    b"1,2,3",
    b"1",
    b"",
    b",",
    b"1,",
    b",1",
    b"1 2,3",
    b"01,2",
    b"+1,2",
    b".5,2",
    b"1.,2",
    b"-,2",
    b"1e,2",
    b"NaN,1",
    b"null,1",
    b"true,1",
    b'"1",2',
    b'"1,2"',
    b'"a,b",2',
    b'"a',
    b'b",1',
    b"[1],[2]",
    b"[1,2",
    b"{},1",
    b'{"a":1,"b":2}',
    b"3.5e38,1",
    b"1e400,1",
    b"1],[2",
    b"1]}]} ,2",
    b"1,2\\",
    b"1,2/**/",
    b"\xff,1",
    b"1,\x002",
    " 1,2".encode("utf-16-le"),
    b" " * LEAST_BYTES + b"1,2",
    b" " * LEAST_BYTES + b"1,2,3",
    b" " * LEAST_BYTES + b"[1,2",
    b" " * LEAST_BYTES + b'1,"2"',
]

BODIES = [*WHOLE, *(head + text + TAIL for head in (HEAD, ONE_HEAD) for text in TEXTS)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    file.write_bytes(graphs.double((None, 1)))
    config = ModelConfig()
    return Model("double", 1, open_version(file, None, config, cores=1), config, Metrics())


def alone(model: Model, body: bytes) -> Tensors | None:
    """What the request gives by itself, None if it is refused."""
    try:
        asked = v2_codec.decode(body, None, model.signature)
        model.signature.check(asked.tensors)
    except ServingError:
        return None
    return asked.tensors


def assert_same(model: Model, codec: V2Codec, bodies: list[bytes]) -> None:
    """Each body is read as it is by itself, if it is read, and so are all together."""
    reads = [(codec.read(body, None), alone(model, body)) for body in bodies]
    found = [(read, wanted) for read, wanted in reads if read is not None]
    for read, wanted in found:
        pieces = pieces_of(model, [read], "token")
        if pieces is not None:
            assert wanted is not None
            np.testing.assert_array_equal(pieces[0]["x"].reshape(-1), wanted["x"].reshape(-1))
    texts = [(read, wanted) for read, wanted in found if read.text is not None]
    pieces = pieces_of(model, [read for read, _ in texts], "token") if texts else None
    if pieces is not None:
        for tensors, (_, wanted) in zip(cut(pieces, [read for read, _ in texts]), texts, strict=True):
            assert wanted is not None
            np.testing.assert_array_equal(tensors["x"].reshape(-1), wanted["x"].reshape(-1))


@pytest.mark.parametrize("learnt", WHOLE, ids=range(len(WHOLE)))
def test_no_body_changes_how_another_is_read(model: Model, learnt: bytes) -> None:
    codec = V2Codec(model)
    codec.read(learnt, None)
    assert_same(model, codec, BODIES)


@pytest.mark.parametrize("first", TEXTS, ids=range(len(TEXTS)))
def test_no_text_takes_from_its_neighbour(model: Model, first: bytes) -> None:
    codec = V2Codec(model)
    codec.read(WHOLE[0], None)
    for second in TEXTS:
        assert_same(model, codec, [HEAD + first + TAIL, HEAD + second + TAIL])


def test_what_stands_around_the_numbers_is_known_from_then_on(model: Model) -> None:
    codec = V2Codec(model)
    first, second = (codec.read(HEAD + numbers + TAIL, None) for numbers in (b"1,2", b"3,4"))
    assert first is not None
    assert first.text is None
    assert second is not None
    assert second.text == b"3,4"


@pytest.mark.parametrize("body", [WHOLE[1], WHOLE[12], WHOLE[13], WHOLE[15]], ids=["nested", "id", "told", "escaped"])
def test_a_body_that_is_more_than_a_flat_list_is_not_known(model: Model, body: bytes) -> None:
    codec = V2Codec(model)
    for _ in range(2):
        read = codec.read(body, None)
        assert read is None or read.text is None


def test_a_body_with_much_around_its_numbers_is_not_kept(model: Model) -> None:
    codec = V2Codec(model)
    body = HEAD + b"1,2]" + b" " * LARGEST_FRAME + TAIL[1:]
    for _ in range(2):
        read = codec.read(body, None)
        assert read is not None
        assert read.text is None


def test_ever_new_bodies_do_not_fill_the_memory(model: Model) -> None:
    codec = V2Codec(model)
    for spaces in range(MOST_FRAMES + 20):
        assert codec.read(HEAD + b"1,2]" + b" " * spaces + TAIL[1:], None) is not None
    first = codec.read(WHOLE[0], None)
    assert first is not None
    assert first.text is None  # it was forgotten, and is known again from here on
    again = codec.read(WHOLE[0], None)
    assert again is not None
    assert again.text == b"1,2"


MORE: list[dict[str, Any]] = [
    {},
    {"outputs": [{"name": "y"}]},
    {"parameters": {"binary_data_output": True}},
    {"id": "a"},
]

HEADS: list[dict[str, Any]] = [
    {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "parameters": {"binary_data_size": size}}], **more}
    for size, more in product((8, 4, 0), MORE)
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_binary_bodies_are_read_as_by_themselves(model: Model, head: dict[str, Any]) -> None:
    text = orjson.dumps(head)
    codec = V2Codec(model)
    for size in (8, 8, 4, 12, 0, 8):
        body = text + np.arange(size // 4, dtype=np.float32).tobytes()
        read = codec.read(body, len(text))
        try:
            asked = v2_codec.decode(body, len(text), model.signature)
        except ServingError:
            assert read is None
            continue
        if read is not None:
            np.testing.assert_array_equal(read.values[0], asked.tensors["x"].reshape(-1))
            assert read.binary == all(output.binary for output in asked.outputs)


def test_the_answer_to_one_of_many_is_that_of_itself(model: Model) -> None:
    codec = V2Codec(model)
    read = codec.read(WHOLE[0], None)
    assert read is not None
    outputs = {"y": np.arange(6, dtype=np.float32).reshape(6, 1)}
    together = codec.write(Rows(outputs, 2, 4), read)
    assert together == codec.write_alone({"y": outputs["y"][2:4]}, read, "token")
