"""What a model version is and how to call it: everything a form, or a person, needs to send it a prediction."""

from typing import Any

from app.inference.model import Model
from app.protocols import v1_codec, v1_explanations, v2_codec


def metadata(model: Model, labels: list[str], report: bool) -> dict[str, Any]:
    """labels: that stand for the version. report: its training has left a page.

    The manifest comes without its golden rows; an example is null where no input is known that the graph runs.
    """
    feed, manifest = model.example, model.manifest
    declared = v2_codec.metadata(model.name, [model.version], model.signature)
    return {
        "name": model.name,
        "version": model.version,
        "labels": labels,
        "batched": model.signature.batched,
        "because": model.batching,
        "batch_invariant": model.invariant,
        "max_rows": model.limits.max_rows,
        "deadline_ms": model.limits.deadline_s * 1000,
        "providers": model.nodes,
        "missing_providers": model.missing_providers,
        "instances": model.share.instances,
        "threads": model.share.threads,
        "inputs": declared["inputs"],
        "outputs": declared["outputs"],
        "manifest": manifest.model_dump(exclude={"golden"}) if manifest else None,
        "report": report,
        "explainable": not v1_explanations.why_not(model.signature, manifest),
        "example": {"instances": v1_codec.example(feed, manifest)} if feed and model.signature.speaks_rows else None,
        "example_v2": v2_codec.example(feed) if feed else None,
    }
