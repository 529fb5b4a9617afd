"""Which execution providers a graph gets of those asked for; what it really runs on shows once it is open."""

from collections.abc import Collection, Mapping, Sequence

from app.errors import ModelLoadFailed

CPU = "CPUExecutionProvider"


def tried(asked: Sequence[str], known: Collection[str], built_in: Collection[str]) -> list[str]:
    """What a session is opened with, in order: those asked for that this build of onnxruntime holds, or else the CPU.

    asked: empty for the CPU. known: to any build. Raises ModelLoadFailed for a name that no build knows.
    """
    if unknown := [name for name in asked if name not in known]:
        raise ModelLoadFailed(f"no execution provider {', '.join(unknown)}; known: {', '.join(known)}")
    return [name for name in asked if name in built_in] or [CPU]


def missing(asked: Sequence[str], nodes: Mapping[str, int]) -> list[str]:
    """Those asked for that are not in use. A session may hold a provider and run none of its nodes there; the CPU alone
    may be named for what the others leave.

    nodes: provider of the session -> how many nodes of the graph run on it.
    """
    return [name for name in asked if name not in nodes or (name != CPU and not nodes[name])]
