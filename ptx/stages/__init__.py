"""The stages: tune, anchors, encode, search, eval and table, in the order of the paper; texts and answers, what sources
make of texts and of unlabelled inputs. One file each, named as the stage.

Each has its `STAGE`: version, columns, and what builds it. Nothing heavy is imported before something is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptx.cache import Artifact
    from ptx.engine.step import Stage


def stage_named(name: str) -> Stage:
    """The stage that an artifact's meta.json names."""
    stage: Stage = importlib.import_module(f"ptx.stages.{name}").STAGE
    return stage


def versions() -> dict[str, int]:
    """Today's version of every stage."""
    from ptx.cache import STAGES

    return {name: stage_named(name).version for name in STAGES}


def todays(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Those in which no other version of some stage had a part."""
    from ptx.cache import versions_of

    today = versions()
    return [a for a in artifacts if all(today.get(n) == version for n, version in versions_of(a.meta).items())]
