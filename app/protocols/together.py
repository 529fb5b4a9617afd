"""Requests of one turn of the event loop, read and answered together: what numpy costs a call is paid once for all.

Only what callers send most is read here: flat or nested numbers for a model whose rows share runs. Whatever is not
surely right or not so plain (an error, a parameter, texts, files, a number that is not finite) is None, and goes the
way of a request by itself, which knows all of the protocol. So there is nothing here that could be told to a caller,
and both ways give the same bytes.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import orjson

from app.errors import InvalidInput
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Tensor, Tensors
from app.protocols.elements import NonFinite, to_array

MOST_ANSWER_BYTES = 2**16
"""Of a run's outputs that are written together, and kept until the next run."""


Written = TypeVar("Written")


class Read(NamedTuple):
    """A request, read and not yet converted.

    values:   of each input in the signature's order, flat, row-major; or an array of the input's datatype.
    trailing: of each input, its shape without the rows.
    identity: what the answer tells back of the request, as a part of it.
    """

    rows: int
    values: Sequence[list[Any] | Tensor]
    trailing: tuple[tuple[int, ...], ...]
    identity: bytes = b""


class Codec(Protocol):
    """One protocol's bodies for one model."""

    def read(self, body: bytes) -> Read | None:
        """The request in a body, None unless it is plain and right as far as one can see without numpy."""

    def write(self, rows: Rows, read: Read) -> bytes | None:
        """The answer to a request, None where these outputs cannot be written with those of others."""

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> bytes:
        """The answer to a request whatever the outputs are; its own rows of them. Raises InvalidInput."""


def tensors_of(model: Model, reads: Sequence[Read], nonfinite: NonFinite) -> list[Tensors] | None:
    """The tensors of requests of equal trailing shapes; None if any element of any of them is wrong.

    They are views of one array an input, (sum of rows, ...).
    """
    whole: dict[str, Tensor] = {}
    try:
        for place, spec in enumerate(model.signature.inputs):
            array = _together([read.values[place] for read in reads], spec.datatype, nonfinite)
            whole[spec.name] = array.reshape(-1, *reads[0].trailing[place])
        model.check_domains(whole)
    except InvalidInput:
        return None
    if len(reads) == 1:
        return [whole]
    tensors: list[Tensors] = []
    start = 0
    for read in reads:
        stop = start + read.rows
        tensors.append({name: tensor[start:stop] for name, tensor in whole.items()})
        start = stop
    return tensors


def _together(values: Sequence[list[Any] | Tensor], datatype: str, nonfinite: NonFinite) -> Tensor:
    """Flat. Raises InvalidInput for an element that does not fit the datatype."""
    lists = [one for one in values if isinstance(one, list)]
    if len(lists) == len(values):
        return to_array("", lists[0] if len(lists) == 1 else list(chain.from_iterable(lists)), datatype, nonfinite)
    arrays = [to_array("", one, datatype, nonfinite) if isinstance(one, list) else one.reshape(-1) for one in values]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def parsed(body: bytes) -> dict[str, Any] | None:
    """A JSON object, None for anything else."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return request if type(request) is dict else None


class Texts(Generic[Written]):
    """The rows of a run's outputs as JSON, written once for all requests in it."""

    def __init__(self, write: Callable[[Tensors], Written | None]) -> None:
        self._write = write
        self._outputs: Tensors | None = None
        self._texts: Written | None = None

    def of(self, outputs: Tensors) -> Written | None:
        """None where the outputs are large, or hold what JSON has no number for."""
        if outputs is self._outputs:
            return self._texts
        for tensor in outputs.values():
            if tensor.nbytes > MOST_ANSWER_BYTES or tensor.dtype.kind not in "iubf":
                return None
        self._outputs, self._texts = outputs, self._write(outputs)
        return self._texts


def row_texts(tensor: Tensor) -> list[bytes] | None:
    """(rows, ...) of numbers -> for each row its numbers, row-major, with commas between; None if one is not finite:
    orjson writes null for it."""
    flat = np.ascontiguousarray(tensor).reshape(len(tensor), -1)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    return None if b"n" in text else text[2:-2].split(b"],[")
