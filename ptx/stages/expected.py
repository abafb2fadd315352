"""The accuracy to expect of a prompt, by what the target answers with it (transfer/forecast.py): of those that were
chosen by agreement, or learned from what the sources answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.transfer.agreement import Answered
    from ptx.transfer.forecast import Seen


def expected(step: Step, seen: Seen, store: Store) -> dict[str, Any]:
    """The forecast as figures of a search, from the accuracy of its sources on their own dev facts; none where that of
    a source is not known."""
    from dataclasses import asdict

    from ptx.transfer.forecast import calibration, forecast

    sources, weights = step.parents_at("answers"), step.settings["weights"]
    known = [_at_home(source, store) for source in sources]
    if not all(known):
        return {}
    accuracies, majorities = ([of[name] for of in known] for name in ("dev_accuracy", "majority"))
    accuracy, majority = (sum(w * of for w, of in zip(weights, some, strict=True)) for some in (accuracies, majorities))
    calibrated = {}
    if len(sources) > 1:
        calibrated["calibration"] = calibration(_pairs(sources, accuracies, store))
    assert sources[0].task is not None
    facts = len(sources[0].task.splits["dev"])
    found = forecast(seen, accuracy, majority, facts, calibrated.get("calibration", 1.0))
    named = {"accuracy": "forecast", "low": "forecast_low", "high": "forecast_high"}
    return {**{named[name]: value for name, value in asdict(found).items()}, "majority_there": majority, **calibrated}


def _pairs(sources: Sequence[Step], accuracies: Sequence[float], store: Store) -> list[tuple[float, float, float]]:
    """How often two sources answer alike, how sure the second one is, and its accuracy; of each two, both ways."""
    from ptx.stages.answers import read_answers
    from ptx.transfer.agreement import agreement, averaged, first_choice

    answered: list[Answered] = [read_answers(source, store).answered for source in sources]
    k = 1 + max(int(of.places.max()) for of in answered)
    choices = [first_choice(averaged([of], [1.0], k)).tolist() for of in answered]
    sure = [of.logs.double().exp().amax(-1).mean().item() for of in answered]
    both = [(i, j) for i in range(len(sources)) for j in range(len(sources)) if i != j]
    return [(agreement(choices[j], choices[i]), sure[j], accuracies[j]) for i, j in both]


def _at_home(source: Step, store: Store) -> dict[str, float]:
    """A source's accuracy on its own dev facts and that of always the same answer; empty where it is not known."""
    from ptx.engine.build import artifact_of
    from ptx.formats import words
    from ptx.stages import portable

    artifact = artifact_of(source.parents[0], store)
    metrics = {} if artifact is None else artifact.meta["metrics"]
    if artifact is None or "majority" not in metrics:
        return {}
    accuracy = metrics["dev_accuracy"]
    if source.parents[0].stage.name == portable.STAGE.name:  # the mean of all that learned it
        read = {of.digest: of.dev_accuracy for of in words.read(artifact.path / portable.FILE).models}
        accuracy = read[source.models[0].digest]
    return {"dev_accuracy": accuracy, "majority": metrics["majority"]}
