"""Several processes that fit one network, started by torchrun: each takes its part of every batch, over gloo.

All draw the same batches and hold the same weights; the gradients are added up, each weighted by its rows, so the steps
are those of one process but for rounding. That holds inside a network too: a dropout mask is drawn for the whole batch,
and batch normalisation goes by all of its rows. What is drawn in another way (dropout within an nn.GRU of several
layers) is drawn by each process for its own rows. The first process alone measures, writes and speaks.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.nn import Parameter, functional
from torch.overrides import TorchFunctionMode

from training.datasets.dataset import Rows
from training.errors import ProcessLost

T = TypeVar("T")

DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d)


@dataclass(frozen=True)
class Part:
    """The rows of a batch that a process takes, start to stop, and how much they count in the sum over all processes.

    rows: of the whole batch.
    """

    start: int
    stop: int
    rows: int
    share: float

    def of(self, batch: Rows) -> Rows:
        return batch if self._is_whole else batch.take(torch.arange(self.start, self.stop))

    def within_whole(self) -> AbstractContextManager[object]:
        """Where a network answers these rows as one that is given all of them."""
        return nullcontext() if self.share == 1 else _WithinWhole(self)

    @property
    def _is_whole(self) -> bool:
        return self.stop - self.start == self.rows


@dataclass(frozen=True)
class Processes:
    """Those that fit a network together, seen from one of them. rank: from 0."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def agreed(self, value: T | None) -> T:
        """The first process's value; those of the others do not count."""
        told = [value]
        if self.count > 1:
            with _in_words():
                distributed.broadcast_object_list(told)
        return told[0]  # type: ignore[return-value]

    def part(self, rows: int) -> Part:
        """Of a batch. One that has fewer rows than there are processes is taken whole by each."""
        if rows < self.count:
            return Part(0, rows, rows, 1 / self.count)
        start, stop = (rows * rank // self.count for rank in (self.rank, self.rank + 1))
        return Part(start, stop, rows, (stop - start) / rows)

    def add_up_gradients(self, parameters: Iterable[Parameter]) -> None:
        """In place, at once."""
        if self.count > 1:
            gradients = [one.grad for one in parameters if one.grad is not None]
            flat = _sum(torch.cat([one.flatten() for one in gradients]))
            for one, total in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
                one.copy_(total.view_as(one))

    def add_up(self, value: float) -> float:
        return _sum(torch.tensor(value, dtype=torch.float64)).item() if self.count > 1 else value


ALONE = Processes()


def started() -> bool:
    """Whether torchrun has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def together() -> Iterator[Processes]:
    """The processes that torchrun has started, for as long as they fit; this one alone without it.

    Raises ProcessLost in the others once one of them has gone.
    """
    if not started():
        yield ALONE
        return
    with _in_words():
        distributed.init_process_group("gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


class _WithinWhole(TorchFunctionMode):
    """What depends on the other rows of a batch goes by the whole batch, of which this process has a part."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self._part = part

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in DROPOUTS:
            return self._dropout(func, *args, **kwargs)
        if func is functional.batch_norm:
            return self._batch_norm(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self, drop: Callable[..., Tensor], inputs: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        part = self._part
        if not training or len(inputs) != part.stop - part.start:
            return drop(inputs, p, training, inplace)
        mask = drop(inputs.new_ones(part.rows, *inputs.shape[1:]), p)
        return inputs * mask[part.start : part.stop]

    def _batch_norm(
        self,
        inputs: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """inputs: (rows, channels, ...)."""
        if not training:
            return functional.batch_norm(inputs, running_mean, running_var, weight, bias, training, momentum, eps)
        axes, shape = (0, *range(2, inputs.ndim)), (1, -1, *(1 for _ in inputs.shape[2:]))
        mean, variance = self._over_all(*reversed(torch.var_mean(inputs, axes, correction=0)))
        centred = inputs - mean.view(shape)
        if running_mean is not None and running_var is not None:
            count = inputs[0, 0].numel() * self._part.rows
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * count / (count - 1), momentum)
        scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        scaled = centred * scale.view(shape)
        return scaled if bias is None else scaled + bias.view(shape)

    def _over_all(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Of the rows of this process -> of all. In doubles, as a difference of squares would not hold otherwise."""
        moments = torch.stack([mean.double(), variance.double() + mean.double().square()])
        total, square = _Sum.apply(self._part.share * moments)  # type: ignore[no-untyped-call]
        return total.to(mean.dtype), (square - total.square()).to(mean.dtype)


class _Sum(torch.autograd.Function):
    """Over all processes; so is its gradient."""

    @staticmethod
    def forward(_: Any, inputs: Tensor) -> Tensor:
        return _sum(inputs.clone())

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0].clone())


def _sum(tensor: Tensor) -> Tensor:
    """Over all processes, in place."""
    with _in_words():
        distributed.all_reduce(tensor)
    return tensor


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost("another process of the fit has ended; the fit goes on with --resume") from error
