"""What `ptx cache` does beyond reading one artifact: list and check, dequantised models too. Removing is in gc.py."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptx.cache.store import STAGES, Store, everything
from ptx.cache.verify import damage
from ptx.errors import UsageError
from ptx.media import counted

Labels = Mapping[str, Any]


def check_stage(stage: str) -> None:
    if stage and stage not in STAGES:
        raise UsageError(f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")


def listing(
    store: Store, stage: str = "", *, models: Sequence[str] = (), tasks: Sequence[str] = (),
    methods: Sequence[str] = (), names: Callable[[Iterable[Labels]], Mapping[str, str]] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row per artifact: what it is, when it was made, its size in bytes. Only those of any of these models (as
    source or target), of these tasks, and of these methods, where any are named. `names` says how the models of all
    these labels are written, where that is not as they are."""
    check_stage(stage)
    metas = [(folder, meta_of(folder)) for folder in everything(store, stage)]
    found = [(folder, meta, _labels(meta)) for folder, meta in metas]
    found = [(folder, meta, labels) for folder, meta, labels in found if _is_of(labels, models, tasks, methods)]
    told = names(labels for _, _, labels in found) if names else {}
    return [_row(folder, meta, labels, told) for folder, meta, labels in found]


def _labels(meta: Mapping[str, Any]) -> Labels:
    """Texts and lists of texts, whatever a damaged file has."""
    labels = meta.get("labels")
    said = [(name, of) for name, of in labels.items() if of is not None] if isinstance(labels, dict) else []
    return {name: [*map(str, of)] if isinstance(of, list) else str(of) for name, of in said}


def _is_of(labels: Labels, models: Sequence[str], tasks: Sequence[str], methods: Sequence[str]) -> bool:
    named = [name for field in ("model", "target", "sources", "models") for name in _each(labels.get(field))]
    called = [*named, *(Path(name).name for name in named)]
    asked = ((models, called), (tasks, _each(labels.get("task"))), (methods, _each(labels.get("method"))))
    return all(not wanted or {*wanted} & {*own} for wanted, own in asked)


def _each(of: str | list[str] | None) -> list[str]:
    return of if isinstance(of, list) else [of] if of else []


def _row(folder: Path, meta: Mapping[str, Any], labels: Labels, names: Mapping[str, str]) -> dict[str, Any]:
    def written(of: str | list[str] | None) -> str:
        return "+".join(names.get(name, name) for name in _each(of))

    return {
        "stage": folder.parent.name,
        "key": folder.name[:12],
        "sources": written(labels.get("sources")),
        "model": written(labels.get("model") or labels.get("target") or labels.get("models")),
        "method": labels.get("method", ""),
        "task": labels.get("task", ""),
        "created": str(meta.get("created", "unreadable")),
        "bytes": size_of(folder),
        "path": str(folder),
    }


def check(store: Store) -> tuple[int, list[dict[str, str]]]:
    """How many artifacts there are, and what is wrong with the damaged ones."""
    folders = everything(store)
    found = [(folder, _problem(folder)) for folder in folders]
    return len(folders), [{"path": str(folder), "problem": problem} for folder, problem in found if problem]


def _problem(folder: Path) -> str | None:
    try:
        return damage(folder)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def remarks(store: Store) -> list[str]:
    """What to say where the cache is an object store's: the above, and removing, is about the copies that are here."""
    if store.where == store.root:
        return []
    here = {(folder.parent.name, folder.name) for folder in store.folders()}
    more = len({(stage, key) for stage in STAGES for key in store.keys(stage)} - here)
    what = f"{store.root} has copies; nothing is removed from the object store, by whose own tools that can be done"
    return [what, f"{counted(more, 'more artifact')} there, fetched when needed"]


def foreign(store: Store) -> list[str]:
    """Folders of the cache that another version of ptx has written and this one leaves alone."""
    layouts = (path for path in store.root.glob("v*") if path.name[1:].isdecimal() and path.name != "v1")
    stages = (path for path in (store.root / "v1").glob("*") if path.name not in STAGES)
    return [str(path.relative_to(store.root)) for path in sorted([*layouts, *stages]) if path.is_dir()]


def meta_of(folder: Path) -> dict[str, Any]:
    """meta.json, unverified; empty if it cannot be read."""
    file = folder / "meta.json"
    try:
        meta = json.loads(file.read_bytes()) if file.is_file() else {}  # reading a pipe would block
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


def size_of(path: Path) -> int:
    """Bytes of a file or of all files in a folder; what vanishes meanwhile has none."""
    inside = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in inside if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            total += os.lstat(file).st_size
    return total
