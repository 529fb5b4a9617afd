"""V1 for requests of one turn: instances by the manifest's features, nested lists of numbers where there is none."""

from itertools import chain
from typing import Protocol

import numpy as np

from app.errors import InvalidInput
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Signature, Tensors
from app.manifest import Manifest
from app.protocols import v1_predictions
from app.protocols.binary import Answer
from app.protocols.elements import NonFinite
from app.protocols.numbers import parse_rows
from app.protocols.together import Read, Texts, parsed
from app.protocols.v1_codec import PredictRequest, names_file, takes_files
from app.protocols.v1_features import are_known, flattened

LARGEST_TYPED = 2**16
"""Of a body whose values are gone through one by one, in bytes; a larger one is read by itself, in a thread."""


class V1Codec:
    """Bodies of one model whose rows share runs. See `takes`."""

    def __init__(self, model: Model) -> None:
        self._manifest = model.manifest
        self._reader: _Reader = _Objects(model, model.manifest) if model.manifest else _Rows(model.signature)
        self._texts = Texts(lambda outputs: v1_predictions.row_texts(outputs, model.manifest))

    @staticmethod
    def takes(model: Model) -> bool:
        """Whether the instances are objects of features, none of them a sound, or rows of so many single numbers."""
        if model.manifest:
            return all(feature.kind != "audio" for feature in model.manifest.features)
        [spec, *others] = model.signature.inputs
        return not others and len(spec.dims) == 2 and spec.shape[1] > 0

    def read(self, body: bytes, json_length: int | None) -> Read | None:  # noqa: ARG002  (V2's)
        """See `together.Codec`."""
        return self._reader.read(body)

    def write(self, rows: Rows, read: Read) -> Answer | None:  # noqa: ARG002  (V2 tells more of the request)
        """See `together.Codec`."""
        texts = self._texts.of(rows.outputs)
        return Answer(b'{"predictions":[%b]}' % b",".join(texts[rows.start : rows.stop])) if texts else None

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> Answer:
        """See `together.Codec`."""
        asked = PredictRequest({}, read.rows, columns=False)
        return Answer(v1_predictions.encode(outputs, asked, self._manifest, nonfinite))


class _Reader(Protocol):
    """Reads what one kind of model takes."""

    def read(self, body: bytes) -> Read | None:
        """See `together.Codec`."""


class _Rows:
    """Nested lists of numbers, for one tensor."""

    def __init__(self, signature: Signature) -> None:
        self._signature, self._width = signature, signature.inputs[0].shape[1:]

    def read(self, body: bytes) -> Read | None:
        """See `together.Codec`."""
        request = parse_rows(body, self._signature) or parsed(body)
        if request is None or len(request) != 1:
            return None
        instances = request.get("instances")
        if isinstance(instances, np.ndarray):
            return Read(len(instances), (instances,), (self._width,)) if instances.shape[1:] == self._width else None
        if type(instances) is not list or not instances or set(map(type, instances)) != {list}:
            return None
        if set(map(len, instances)) != set(self._width):
            return None
        return Read(len(instances), (list(chain.from_iterable(instances)),), (self._width,))


class _Objects:
    """Objects of features, each with its kind."""

    def __init__(self, model: Model, manifest: Manifest) -> None:
        self._most_rows = model.limits.max_rows or 1
        self._takes_files = takes_files(manifest)
        self._names = {feature.name for feature in manifest.features}
        self._flattened = flattened(model.signature, manifest)
        self._trailing = tuple(one.trailing for one in self._flattened)

    def read(self, body: bytes) -> Read | None:
        """See `together.Codec`."""
        if len(body) > LARGEST_TYPED or (self._takes_files and names_file(body)):
            return None
        request = parsed(body)
        if request is None or len(request) != 1:
            return None
        instances = request.get("instances")
        if type(instances) is not list or not 0 < len(instances) <= self._most_rows:
            return None
        if not are_known(instances, self._names):
            return None
        try:
            return Read(len(instances), [one.of(instances) for one in self._flattened], self._trailing)
        except InvalidInput:
            return None
