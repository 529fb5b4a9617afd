"""V1 for requests of one turn: rows of numbers by name where a manifest gives the names, nested lists otherwise."""

from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Tensors
from app.manifest import Manifest
from app.protocols import v1_predictions
from app.protocols.binary import Answer
from app.protocols.elements import NonFinite
from app.protocols.numbers import parse_rows
from app.protocols.together import Read, Texts, parsed
from app.protocols.v1_codec import PredictRequest

Flatten = Callable[[list[Any]], list[Any] | None]
"""Instances -> their numbers, row-major; None unless every instance has all it needs and nothing else."""


class V1Codec:
    """Bodies of one model whose rows share runs, of one input. See `takes`."""

    def __init__(self, model: Model) -> None:
        [spec] = model.signature.inputs
        self._manifest, self._signature, self._width = model.manifest, model.signature, spec.shape[1:]
        self._trailing = (self._width,)
        self._flatten = _by_name(model.manifest) if model.manifest else _by_place(spec.shape[1])
        self._texts = Texts(lambda outputs: v1_predictions.row_texts(outputs, model.manifest))

    @staticmethod
    def takes(model: Model) -> bool:
        """Whether an instance of the model is a row of so many single numbers."""
        if len(model.signature.inputs) != 1 or len(model.signature.inputs[0].dims) != 2:
            return False
        if model.manifest is None:
            return model.signature.inputs[0].shape[1] > 0
        return all(feature.kind == "number" and not feature.shape for feature in model.manifest.features)

    def read(self, body: bytes, json_length: int | None) -> Read | None:  # noqa: ARG002  (V2's)
        """See `together.Codec`."""
        request = (None if self._manifest else parse_rows(body, self._signature)) or parsed(body)
        if request is None or len(request) != 1:
            return None
        instances = request.get("instances")
        if isinstance(instances, np.ndarray):
            return Read(len(instances), (instances,), self._trailing) if instances.shape[1:] == self._width else None
        if type(instances) is not list or not instances:
            return None
        values = self._flatten(instances)
        return None if values is None else Read(len(instances), (values,), self._trailing)

    def write(self, rows: Rows, read: Read) -> Answer | None:  # noqa: ARG002  (V2 tells more of the request)
        """See `together.Codec`."""
        texts = self._texts.of(rows.outputs)
        return Answer(b'{"predictions":[%b]}' % b",".join(texts[rows.start : rows.stop])) if texts else None

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> Answer:
        """See `together.Codec`."""
        asked = PredictRequest({}, read.rows, columns=False)
        return Answer(v1_predictions.encode(outputs, asked, self._manifest, nonfinite))


def _by_name(manifest: Manifest) -> Flatten:
    names = [feature.name for feature in manifest.features]
    pick = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)

    def flatten(instances: list[Any]) -> list[Any] | None:
        if set(map(type, instances)) != {dict} or set(map(len, instances)) != {len(names)}:
            return None
        try:
            return list(chain.from_iterable(map(pick, instances)))
        except KeyError:
            return None

    return flatten


def _by_place(width: int) -> Flatten:
    def flatten(instances: list[Any]) -> list[Any] | None:
        if set(map(type, instances)) != {list} or set(map(len, instances)) != {width}:
            return None
        return list(chain.from_iterable(instances))

    return flatten
