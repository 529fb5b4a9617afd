"""V1 explanations: what each part of an instance adds to its prediction.

Rows with parts left out go through the model's own queue, behind all predictions, a few hundred at a time: the next are
sent when those are back. So an explanation runs in as many instances of the model as those fill, a prediction waits for
one of its runs at most, and it is over when its caller goes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.bodies import body_response, decoded, read_body, unless_gone
from app.errors import DeadlineExceeded, InvalidInput, OutsideDomain
from app.inference.coalitions import AllCoalitions, Floats, Walks, coalitions
from app.inference.model import Model
from app.inference.parts import Instance, absent_row, instance
from app.inference.scheduler import BEHIND_ALL
from app.inference.signature import Tensor, Tensors
from app.manifest import Manifest
from app.protocols import v1_codec, v1_explanations, v1_predictions
from app.protocols.elements import dump
from app.protocols.v1_explanations import ExplainRequest
from app.web import admitted, find_model

TURNS = 4
"""Runs of each of the model's instances that are sent together, so that none rests while the next rows are made."""

MOST_TOGETHER = 256
"""Rows that are sent together, and so of one run: what a prediction waits for, if it comes at the wrong moment."""

MOST_BYTES = 2**24
"""Of the tensors that are sent together."""

ASK_FOR_LESS = "send fewer instances at a time, or ask for fewer samples"

router = APIRouter(prefix="/v1", include_in_schema=False)


@router.post("/models/{name}:explain")
@router.post("/models/{name}/versions/{version}:explain")
@router.post("/models/{name}/labels/{version}:explain")
async def explain(request: Request, name: str, version: str | None = None) -> Response:
    """Explanations; the document has it once for each model."""
    model = find_model(request, "v1", name, version)
    with admitted(request, model):
        body = await read_body(request)
        explained = await unless_gone(request, _explained(request, model, body))
        return await body_response(request, explained, {}, "application/json")


@dataclass(frozen=True)
class Plan:
    """What has to be run.

    absent:   one row in which every part is absent.
    together: rows that are sent to the queue at one time.
    """

    asked: ExplainRequest
    absent: Tensors
    together: int
    manifest: Manifest | None

    def taken_apart(self, row: int) -> tuple[Instance, AllCoalitions | Walks]:
        """An instance in parts, and the coalitions of these. Made when it is its turn: all at once would be much."""
        one = instance(self.asked.given.tensors, row, self.absent, self.manifest)
        return one, coalitions(one.parts, self.asked.samples)


async def _explained(request: Request, model: Model, body: bytes) -> bytes:
    """The answer to a body."""
    state, manifest = request.app.state, model.manifest
    with model.request():
        try:
            async with asyncio.timeout(model.limits.deadline_s):
                asked = await decoded(
                    body,
                    lambda: v1_explanations.decode(body, model.signature, manifest, state.body_limits, state.nonfinite),
                    slow=v1_codec.takes_files(manifest) and v1_codec.names_file(body),
                )
                plan = await asyncio.to_thread(_planned, model, asked, state.max_explain_rows)
                content = {"explanations": await _explanations(model, plan)}
                return await asyncio.to_thread(dump, content, state.nonfinite)
        except TimeoutError as error:
            told = f"no explanation from {model.name} within {model.limits.deadline_s:g} s"
            raise DeadlineExceeded(f"{told}: {ASK_FOR_LESS}") from error


def _planned(model: Model, asked: ExplainRequest, most_rows: int) -> Plan:
    """Raises InvalidInput for what predictions refuse too, and for more rows than one request may have."""
    tensors = asked.given.tensors
    model.signature.check(tensors)
    try:
        model.check_domains(tensors)
    except OutsideDomain as error:
        if model.manifest is None:
            raise
        raise v1_codec.outside(error.violations, model.manifest, asked.given) from error
    absent = absent_row(tensors, model.manifest)
    row_bytes = sum(tensor.nbytes for tensor in absent.values())
    together = 1
    if model.limits.max_rows:
        turn = model.limits.max_rows * model.limits.instances
        together = max(1, min(TURNS * turn, MOST_TOGETHER, MOST_BYTES // max(row_bytes, 1)))
    plan = Plan(asked, absent, together, model.manifest)
    rows, row = asked.given.rows + 1, 0
    while rows <= most_rows and row < asked.given.rows:
        rows += plan.taken_apart(row)[1].rows
        row += 1
    if rows > most_rows:
        told = f"these explanations take more than {most_rows} rows through the model"
        raise InvalidInput(f"{told}: {ASK_FOR_LESS}")
    return plan


async def _explanations(model: Model, plan: Plan) -> list[dict[str, Any]]:
    """One an instance."""
    target, asked = plan.asked.target, plan.asked.given
    empty = await model.infer(plan.absent, priority=BEHIND_ALL)
    whole: list[tuple[Any, Tensor]] = []
    async for rows, outputs in _run(model, _taken(asked.tensors), asked.rows, plan.together):
        v1_predictions.check_rows(outputs, rows)
        predictions = v1_predictions.predictions(outputs, rows, model.manifest)
        whole += zip(predictions, map(np.asarray, outputs[target.tensor]), strict=True)
    told = []
    for number, (prediction, row) in enumerate(whole):
        one, every = await asyncio.to_thread(plan.taken_apart, number)
        place = v1_explanations.place_of(target, row)
        base, value = v1_explanations.values_of(target, place, empty, 1)[0], row.reshape(-1)[place]
        values = await _values(model, plan, one, every, place)
        shares = await asyncio.to_thread(every.attributions, base, values, float(value))
        told.append(
            {
                "explains": v1_explanations.name_of(target, place, row, model.manifest),
                "prediction": prediction,
                "base": v1_explanations.rounded(base, row.dtype),
                "value": v1_explanations.rounded(value, row.dtype),
                "attributions": one.told(v1_explanations.rounded(shares, row.dtype)),
            }
        )
    return told


async def _values(model: Model, plan: Plan, one: Instance, every: AllCoalitions | Walks, place: int) -> Floats:
    """The number that is explained, of each coalition of an instance's parts."""
    runs = _run(model, lambda start, stop: one.rows(every.present(start, stop)), every.rows, plan.together)
    target = plan.asked.target
    values = [v1_explanations.values_of(target, place, outputs, rows) async for rows, outputs in runs]
    return np.concatenate([np.zeros(0), *values])


def _taken(tensors: Tensors) -> Callable[[int, int], Tensors]:
    return lambda start, stop: {name: tensor[start:stop] for name, tensor in tensors.items()}


async def _run(
    model: Model, rows: Callable[[int, int], Tensors], count: int, together: int
) -> AsyncIterator[tuple[int, Tensors]]:
    """The outputs of so many rows, some at a time, with how many they are of. rows: makes those from start to stop."""
    for start in range(0, count, together):
        stop = min(start + together, count)
        tensors = await asyncio.to_thread(rows, start, stop)
        yield stop - start, await model.infer(tensors, priority=BEHIND_ALL)
