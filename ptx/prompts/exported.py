"""What `ptx export` writes of a prompt of the cache, for another program or as words, and tells of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store
from ptx.config import CommonConfig
from ptx.config.dtypes import FLOAT32
from ptx.engine.build import Reporter
from ptx.formats import card
from ptx.prompts.as_words import export_words
from ptx.prompts.export import export_prompt
from ptx.prompts.given import SCORED, prompt_of
from ptx.prompts.record import model_of
from ptx.stages import portable
from ptx.stages.settings import Settings

WORDS = "words"


def exported(
    key: str, to: str, output: Path, common: CommonConfig, settings: Settings, store: Store, tell: Reporter,
    *, inputs: Sequence[str] = (), repo: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Write it; a row of where it is and, for words, of figures. For `inputs` and `repo` see export_prompt. Raises
    PtxError."""
    stages = ("tune", "search", *([portable.STAGE.name] if to == WORDS else []), SCORED)
    artifact = store.find(key, stages)
    artifact = prompt_of(artifact, store) if artifact.meta["stage"] == SCORED else artifact
    row = {"stage": artifact.meta["stage"], "key": artifact.key, "path": str(output.absolute())}
    if to == WORDS:
        return {**row, "format": to, **_as_words(artifact, output, common, settings, store, tell)}
    how: dict[str, Any] = {"force": common.force, "dry_run": common.dry_run, "inputs": inputs, "repo": repo}
    made = export_prompt(artifact, store, to, output, **how)
    if to == "peft" and len(made.opening):
        tokens = f"the first of the {len(made.opening) + len(made.prompt)} virtual tokens"
        what = f"what inputs of {made.model.name} begin with"
        tell.message(f"{tokens} is {what}: give PEFT texts without special tokens, as the card shows")
    if repo and not made.record.commit:
        tell.warn(f"the hub has no model {made.base}: who fetches the prompt has to know which model is meant")
    return {**row, "card": str(card.beside(output).absolute()), "format": to}


def _as_words(
    artifact: Artifact, output: Path, common: CommonConfig, settings: Settings, store: Store, tell: Reporter
) -> dict[str, Any]:
    dtype = FLOAT32
    if artifact.meta["stage"] != portable.STAGE.name:
        dtype = settings.computed(model_of(artifact), "source").get("dtype", FLOAT32)
    how: dict[str, Any] = {"force": common.force, "dry_run": common.dry_run, "device": common.device, "dtype": dtype}
    made = export_words(artifact, store, output, **how)
    tell.message(str(made))
    return {} if made.before is None else {"dev_accuracy": made.before, "as_words": made.after}
