"""What a model answers, output by output: names and words for people, and how the network's output is cut into them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from training.datasets.dataset import Target
from training.networks.served import Split


@dataclass(frozen=True)
class Answer:
    """One output of the graph, with the fields of `app.manifest.OutputTensor`.

    probabilities: of the labels, all columns of the output.
    value:         one column of it; with a `level`, the quantile of that level.
    ranking:       the places of its `top` largest columns, the largest first.
    """

    tensor: str
    kind: Literal["probabilities", "value", "ranking"]
    name: str
    description: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    top: int = 0
    level: float | None = None


def of_target(target: Target) -> tuple[Answer, ...]:
    """The one answer of a network that predicts the target itself."""
    if target.top:
        return (Answer("ranking", "ranking", target.name, target.description, "", target.labels, target.top),)
    kind: Literal["probabilities", "value"] = "probabilities" if target.labels else "value"
    return (Answer(kind, kind, target.name, target.description, target.unit, target.labels),)


def split_into(answers: Sequence[Answer]) -> Split:
    """Values take a column each, in order; anything else takes all of them."""
    if len(answers) > 1:
        return lambda outputs: tuple(outputs.unbind(dim=1))
    [answer] = answers
    if answer.kind == "ranking":
        return lambda scores: (torch.topk(scores, answer.top, dim=1).indices,)
    return lambda outputs: (outputs,)
