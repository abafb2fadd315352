"""What lies behind results: what all that they were made of was made with. Unverified, only to be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ptx.cache import Store
from ptx.cache.store import Meta, unverified
from ptx.results.collect import NOT_SETTINGS

spelled = json.JSONEncoder(sort_keys=True).encode  # json.dumps makes an encoder each time
NONE: frozenset[Any] = frozenset()


class Behind(NamedTuple):
    """Of all ancestors of an artifact together."""

    models: frozenset[str | None]  # digests; None where one has no model of its own
    facts: frozenset[str]  # digests
    settings: frozenset[str]  # of each those of its own stage
    whole: bool  # whether none of them is gone


# By store, and there by stage and key: these stand for inputs and settings, so that what is known stays true.
_known: WeakKeyDictionary[Store, dict[tuple[str, str], Behind]] = WeakKeyDictionary()


def behind(meta: Meta, store: Store) -> Behind:
    """What all that an artifact was made of was made with: of thousands that share ancestors, each of these is read
    once."""
    known = _known.setdefault(store, {})
    every = [_with_ancestors(parent["stage"], parent["key"], store, known) for parent in meta["parents"]]
    return _together(every)


def own_settings(meta: Meta) -> str:
    """Those of an artifact's own stage, but for its task's, as one text."""
    config = {n: v for n, v in meta["config"].get(meta["stage"], {}).items() if n not in NOT_SETTINGS}
    return spelled([meta["stage"], config])


def _with_ancestors(stage: str, key: str, store: Store, known: dict[tuple[str, str], Behind]) -> Behind:
    """The same with the artifact's own."""
    if (stage, key) in known:
        return known[stage, key]
    meta = unverified(store.place(stage, key))
    if meta is None:
        return Behind(NONE, NONE, NONE, False)
    inputs = meta["inputs"]
    models = frozenset((*inputs.get("models", ()), inputs.get("model")))
    facts = frozenset((inputs["facts"],)) if "facts" in inputs else NONE
    above = (_with_ancestors(of["stage"], of["key"], store, known) for of in meta["parents"])
    found = _together([Behind(models, facts, frozenset((own_settings(meta),)), True), *above])
    if found.whole:  # what is gone may come back
        known[stage, key] = found
    return found


def _together(every: Sequence[Behind]) -> Behind:
    if len(every) == 1:
        return every[0]
    models, facts, settings, whole = zip(*every, strict=True) if every else ((), (), (), ())
    return Behind(NONE.union(*models), NONE.union(*facts), NONE.union(*settings), all(whole))
