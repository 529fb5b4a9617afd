"""Requests of one turn of the event loop, read and answered together: what numpy costs a call is paid once for all.

Only what callers send most is read here: flat or nested numbers for a model whose rows share runs. Whatever is not
surely right or not so plain (an error, a parameter, texts, files, a number that is not finite) is None, and goes the
way of a request by itself, which knows all of the protocol. So there is nothing here that could be told to a caller,
and both ways give the same bytes.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from math import prod
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import orjson

from app.errors import InvalidInput
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Tensor, Tensors
from app.protocols.binary import Answer
from app.protocols.elements import NonFinite, to_array
from app.protocols.numbers import LEAST_BYTES, read_array

MOST_ANSWER_BYTES = 2**16
"""Of a run's outputs that are written together, and kept until the next run."""


Written = TypeVar("Written")


class Read(NamedTuple):
    """A request, read and not yet converted.

    values:   of each input in the signature's order, flat, row-major; or an array of the input's datatype.
    trailing: of each input, its shape without the rows.
    text:     in place of values, for a model with one input: what stands between the brackets of a JSON array, with as
              many commas as numbers of this shape have between them.
    identity: what the answer tells back of the request, as a part of it.
    binary:   all outputs are wanted as bytes.
    """

    rows: int
    values: Sequence[list[Any] | Tensor]
    trailing: tuple[tuple[int, ...], ...]
    text: bytes | None = None
    identity: bytes = b""
    binary: bool = False


class Codec(Protocol):
    """One protocol's bodies for one model."""

    def read(self, body: bytes, json_length: int | None) -> Read | None:
        """The request in a body, None unless it is plain and right as far as one can see without numpy.

        json_length: of the JSON in front of binary tensors; None where all is JSON.
        """

    def write(self, rows: Rows, read: Read) -> Answer | None:
        """The answer to a request, None where these outputs cannot be written with those of others."""

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> Answer:
        """The answer to a request whatever the outputs are; its own rows of them. Raises InvalidInput."""


def pieces_of(model: Model, reads: Sequence[Read], nonfinite: NonFinite) -> list[Tensors] | None:
    """The tensors of requests: one piece with the rows of all, or one for each where they are arrays already. None if
    any element of any of them is wrong.

    reads: of equal trailing shapes, all with a text or all without.
    """
    try:
        if reads[0].text is not None:
            pieces = [_of_texts(model, reads, nonfinite)]
        elif isinstance(reads[0].values[0], np.ndarray):
            pieces = [_of_values(model, [read], nonfinite) for read in reads]
        else:
            pieces = [_of_values(model, reads, nonfinite)]
        for piece in pieces:
            model.check_domains(piece)
    except InvalidInput:
        return None
    return pieces


def cut(pieces: list[Tensors], reads: Sequence[Read]) -> list[Tensors]:
    """Each request's own tensors of what `pieces_of` gave; views."""
    if len(pieces) == len(reads):
        return pieces
    [whole] = pieces
    stops = [*accumulate(read.rows for read in reads)]
    return [
        {name: tensor[stop - read.rows : stop] for name, tensor in whole.items()}
        for stop, read in zip(stops, reads, strict=True)
    ]


def _of_texts(model: Model, reads: Sequence[Read], nonfinite: NonFinite) -> Tensors:
    """All texts are parsed as one array. It has as many elements as they have commas, and one more for each, or less
    where an element is no number and a comma stands in it. So it has its right size only if no text took an element
    from its neighbour. Raises InvalidInput otherwise, and for an element that does not fit the datatype."""
    [spec] = model.signature.inputs
    shape = (sum([read.rows for read in reads]), *reads[0].trailing[0])
    whole = b"[%b]" % b",".join([read.text or b"" for read in reads])
    tensor = read_array(whole, spec.datatype) if len(whole) >= LEAST_BYTES else None
    if tensor is None:
        try:
            tensor = to_array("", orjson.loads(whole), spec.datatype, nonfinite)
        except orjson.JSONDecodeError as error:
            raise InvalidInput("not JSON") from error
    if tensor.size != prod(shape):
        raise InvalidInput("an element is no number, and hid a comma")
    return {spec.name: tensor.reshape(shape)}


def _of_values(model: Model, reads: Sequence[Read], nonfinite: NonFinite) -> Tensors:
    """Raises InvalidInput for an element that does not fit its datatype."""
    return {
        spec.name: _flat([read.values[place] for read in reads], spec.datatype, nonfinite).reshape(
            -1, *reads[0].trailing[place]
        )
        for place, spec in enumerate(model.signature.inputs)
    }


def _flat(values: Sequence[list[Any] | Tensor], datatype: str, nonfinite: NonFinite) -> Tensor:
    """All of them behind each other."""
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
