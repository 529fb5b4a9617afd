"""Transfer: a network first learns another data set, and its body goes on from there; the last layer begins anew.

The last layer is the one that a network names `output`; the body is all the rest, scaling among it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from training.datasets.dataset import Dataset
from training.errors import UnusableRecipe
from training.fit import Steps

LAST = "output"


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """What a network learns before its recipe's own data.

    dataset: of the same inputs; its targets may be others.
    steps:   how it is fitted on them.
    frozen:  the body stays as it is then, and only the last layer learns the recipe's own.
    """

    dataset: Callable[[], Dataset]
    steps: Steps
    frozen: bool = False

    def data(self) -> str:
        """The data set by name, licence and hash; it is loaded for that."""
        found = self.dataset()
        return f"{found.name}; {found.licence}; SHA-256 {found.sha256}"


def carry_over(taught: nn.Module, network: nn.Module, *, frozen: bool) -> None:
    """Gives the network the body of the one that was taught. frozen: and keeps it from learning.

    Raises UnusableRecipe where the two have no body in common, or none of their layers is called `output`.
    """
    if not isinstance(getattr(network, LAST, None), nn.Module):
        raise UnusableRecipe(f"{type(network).__name__} cannot be pre-trained: its last layer is not called `{LAST}`")
    body = {name: values for name, values in taught.state_dict().items() if not _of_last(name)}
    own = {name: values for name, values in network.state_dict().items() if not _of_last(name)}
    if unlike := [name for name, values in own.items() if name not in body or body[name].shape != values.shape]:
        raise UnusableRecipe(f"a pre-trained body does not fit this network: {', '.join(unlike)} differ")
    network.load_state_dict(body, strict=False)
    for name, weights in network.named_parameters():
        weights.requires_grad_(_of_last(name) or not frozen)


def _of_last(name: str) -> bool:
    return name.startswith(f"{LAST}.")
