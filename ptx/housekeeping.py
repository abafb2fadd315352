"""What `ptx cache` does beyond reading one artifact: list, check, remove."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from ptx.cache import STAGES, Store, damage, unwritable
from ptx.errors import UsageError
from ptx.step import VERSIONS

DAY = 24 * 3600


def listing(store: Store, stage: str = "") -> list[dict[str, Any]]:
    """One row per artifact: what it is, when it was made, its size in bytes."""
    if stage and stage not in STAGES:
        raise UsageError(f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")
    rows = []
    for folder in store.entries(stage or None):
        meta = _meta(folder)
        labels = meta.get("labels", {})
        models = labels.get("model") or labels.get("target") or "+".join(labels.get("models", ()))
        rows.append(
            {
                "stage": folder.parent.name,
                "key": folder.name[:12],
                "sources": "+".join(labels.get("sources", ())),
                "model": models,
                "method": labels.get("method", ""),
                "task": labels.get("task", ""),
                "created": meta.get("created", "unreadable"),
                "bytes": _size(folder),
                "path": str(folder),
            }
        )
    return rows


def check(store: Store) -> tuple[int, list[dict[str, str]]]:
    """How many artifacts there are, and what is wrong with the damaged ones."""
    folders = list(store.entries())
    found = [(folder, damage(folder)) for folder in folders]
    return len(folders), [{"path": str(folder), "problem": problem} for folder, problem in found if problem]


def collect_garbage(store: Store, *, older_than: int | None, dry_run: bool) -> tuple[list[Path], int]:
    """Remove leftovers, damaged, superseded and (in days) too old artifacts; returns their paths and bytes."""
    doomed = list(store.leftovers())
    now = time.time()
    for folder in store.entries():
        meta = _meta(folder)
        superseded = meta.get("version") != VERSIONS[folder.parent.name]
        old = older_than is not None and now - _created(meta) >= older_than * DAY
        if superseded or old or damage(folder):
            doomed.append(folder)
    size = sum(_size(path) for path in doomed)
    if not dry_run:
        _remove(doomed, store)
    return doomed, size


def _remove(paths: Iterable[Path], store: Store) -> None:
    try:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(store.root, error) from None


def _meta(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return {}


def _created(meta: dict[str, Any]) -> float:
    return datetime.fromisoformat(meta["created"]).timestamp() if "created" in meta else 0.0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
