"""A model's section in the document: what a reader should know before calling it, in Markdown."""

from app.feature import Feature
from app.inference.model import Model
from app.manifest import Manifest, OutputTensor

MOST_FEATURES = 12
"""A longer list is in the schema of the call only."""


def card(model: Model, versions: list[int]) -> str:
    """model: the version that answers by default. versions: all that serve."""
    manifest = model.manifest
    served = f"Version {model.version}{_others(versions)}. {_batching_note(model)}"
    if manifest is None:
        return f"A graph without a manifest: its tensors are all that is known of it. {served}"
    metrics = "\n".join(f"| {m.name} | {m.model:.4g} | {m.baseline:.4g} |" for m in manifest.evaluation.metrics)
    return f"""**{manifest.title}.** {manifest.description}

*Use:* {manifest.intended_use} *Limits:* {manifest.limits}

*Takes:* {_features(manifest)}. *Gives:* {", ".join(map(_output, manifest.outputs))}.

| held-out metric | this network | {manifest.evaluation.baseline} |
| --- | --- | --- |
{metrics}

{manifest.evaluation.verdict}.

*Data:* {manifest.data.name}, {manifest.data.licence}; {manifest.data.split}.

{served}

{manifest.card}""".strip()


def _others(versions: list[int]) -> str:
    return f" of {', '.join(map(str, versions))}" if len(versions) > 1 else ""


def _batching_note(model: Model) -> str:
    return f"{'Batched' if model.signature.batched else 'Not batched'}: {model.batching}."


def _features(manifest: Manifest) -> str:
    features = manifest.features
    told = ", ".join(map(_feature, features[:MOST_FEATURES]))
    return told if len(features) <= MOST_FEATURES else f"{told} and {len(features) - MOST_FEATURES} more"


def _feature(feature: Feature) -> str:
    """`length` (mm), `image` (8 x 8)."""
    notes = [" x ".join(map(str, feature.shape)), feature.unit]
    told = ", ".join(note for note in notes if note)
    return f"`{feature.name}` ({told})" if told else f"`{feature.name}`"


def _output(output: OutputTensor) -> str:
    if output.kind == "value":
        return f"`{output.name}` ({output.unit})" if output.unit else f"`{output.name}`"
    if output.kind == "ranking":
        return f"`{output.name}`, the best first"
    start = (
        f"; {output.labels[1]} from a probability of {output.threshold:.3g} on" if output.threshold is not None else ""
    )
    return f"`label` ({', '.join(output.labels)}{start}) and its `probability`"
