"""Requests become one batch and come apart again."""

import numpy as np
import pytest

from app.errors import InferenceFailed
from app.inference import batch
from app.inference.signature import Tensors


def test_stack_and_split_give_every_request_its_own_rows() -> None:
    requests = [{"x": np.full((n, 2), n, np.float32)} for n in (1, 3, 2)]
    stacked = batch.stack(requests)
    assert stacked["x"].shape == (6, 2)
    for request, result in zip(requests, batch.split(stacked, [1, 3, 2]), strict=True):
        assert np.array_equal(request["x"], result.tensors()["x"])


def test_stack_undoes_cut() -> None:
    whole = {"x": np.arange(10), "s": np.array(list("abcdefghij"), object)}
    pieces = [piece for piece, _ in batch.cut(whole, 10, 4)]
    assert [len(piece["x"]) for piece in pieces] == [4, 4, 2]
    joined = batch.stack(pieces)
    assert all(np.array_equal(whole[name], joined[name]) for name in whole)


@pytest.mark.parametrize("tensor", [np.zeros((2, 1)), np.float64(1).reshape(())])
def test_an_output_with_another_number_of_rows_is_refused(tensor: np.ndarray) -> None:
    with pytest.raises(InferenceFailed, match=r"output y has shape .* for 3 rows"):
        batch.split({"y": tensor}, [1, 2])


def test_only_equal_names_datatypes_and_trailing_shapes_are_of_one_kind() -> None:
    row = np.zeros((1, 2), np.float32)
    assert batch.kind({"x": row, "y": row}) == batch.kind({"y": row[:0], "x": np.ones((9, 2), np.float32)})
    others: list[Tensors] = [
        {"x": row},
        {"x": row[:, :1], "y": row},
        {"x": row.astype(np.float64), "y": row},
        {"x": row, "z": row},
    ]
    assert len({batch.kind(one) for one in others} | {batch.kind({"x": row, "y": row})}) == 5
