"""Whether tuned prompts have learned: how they compare on dev with what they have to beat, and what to try."""

from collections.abc import Mapping, Sequence
from typing import Any

from ptx.cache import Artifact
from ptx.lms.names import named_in, written
from ptx.media import counted

TRY = "try more --epochs, another --init (text, text:..., random, words) or --lr-scale, or a longer --prompt-length"


def learned(artifact: Artifact) -> bool:
    """Whether a tuned prompt beats on dev what always gives the same answer; true where that is not known."""
    metrics = artifact.meta["metrics"]
    return metrics.get("dev_accuracy", 1.0) > metrics.get("majority", -1.0)


def lags(artifact: Artifact) -> str:
    """That a prompt has not learned."""
    labels, metrics = artifact.meta["labels"], artifact.meta["metrics"]
    names = written(labels, named_in([labels]))
    model = names.get("model") or " and ".join(names["sources"])
    shown = f"{metrics['dev_accuracy']:.1%} on dev, no more than always the same answer ({metrics['majority']:.1%})"
    return f"the prompt for {labels['task']} on {model} has not learned: {shown}"


def compared(metrics: Sequence[Mapping[str, Any]]) -> str:
    """One line on tuned prompts and what they have to beat."""
    beaten = sum(of["dev_accuracy"] > of["majority"] for of in metrics)
    verb = "beats" if len(metrics) == 1 else "beat"
    said = f"on dev, {beaten} of {counted(len(metrics), 'tuned prompt')} {verb} always the same answer"
    if written := [of for of in metrics if of["template"] is not None]:
        better = sum(of["dev_accuracy"] > of["template"] for of in written)
        said += f", and {better} of {len(written)} the task's manual template"
    return said
