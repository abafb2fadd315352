"""`table`: what was shown of results, kept with the artifacts that it was made from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ptx.cache import Artifact, Store, digest
from ptx.engine.build import Stopwatch, fresh, publish
from ptx.engine.step import Payload, Stage, Step
from ptx.stages import stage_named

FILE = "table.csv"


def keep(
    settings: Mapping[str, Any], labels: Mapping[str, Any], artifacts: Sequence[Artifact],
    files: Callable[[], Mapping[str, bytes]], store: Store, *, stage: Stage | None = None,
) -> tuple[Artifact, bool]:  # fmt: skip
    """The artifact of a table (or of another `stage` of its kind), and whether it was there already: made from just
    these results under these names, it is not made again."""
    watch = Stopwatch()
    by_key = {artifact.key: artifact for artifact in artifacts}
    parents = [stored_step(by_key[key]) for key in sorted(by_key)]
    if renamed := [[artifact.key, artifact.meta["labels"]] for artifact in artifacts if "renamed" in artifact.meta]:
        settings = {**settings, "names": digest(sorted(renamed, key=str))}
    step = Step(stage or STAGE, settings, parents=tuple(parents), labels=labels)
    if (artifact := fresh(step, store)) is not None:
        return artifact, True
    payload = Payload(files(), {}, watch.lap())
    return publish(step, payload, store, "", replacing=store.read(step.stage.name, step.key)), False


def stored_step(artifact: Artifact) -> Step:
    """An artifact of the cache as the parent of a new one."""
    return Step(stage_named(artifact.meta["stage"]), {}, labels=artifact.meta["labels"], stored=artifact)


STAGE = Stage("table", version=1)
