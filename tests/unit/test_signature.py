"""A request's tensors against what the graph takes."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference.signature import Signature, Tensors, TensorSpec

PAIR = Signature(
    inputs=(TensorSpec("a", "FP32", ("batch", 2)), TensorSpec("b", "INT64", ("batch",))),
    outputs=(TensorSpec("y", "FP32", ("batch",)),),
    batched=True,
)
A, B = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)


def test_rows_are_the_first_axis_of_a_batched_model_and_one_request_of_any_other() -> None:
    assert PAIR.check({"a": A, "b": B}) == 3
    assert Signature(PAIR.inputs, PAIR.outputs, batched=False).check({"a": A, "b": B[:1]}) == 1


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": A}, "missing input b; the model takes a, b"),
        ({"a": A, "b": B, "c": B}, "unknown input c; the model takes a, b"),
        ({"a": A, "b": B.astype(np.int32)}, "b: datatype INT32, wanted INT64"),
        ({"a": A[:, :1], "b": B}, r"a: shape \[3, 1\], wanted \[-1, 2\]"),
        ({"a": A[0], "b": B}, r"a: shape \[2\], wanted \[-1, 2\]"),
        ({"a": A, "b": B[:2]}, "same number of rows: a has 3, b has 2"),
    ],
)
def test_tensors_that_do_not_fit_are_told_what_does(tensors: Tensors, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        PAIR.check(tensors)
