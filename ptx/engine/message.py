"""A group of steps as bytes for another process: keys, settings and paths. The facts of tasks, which may be megabytes,
are written once a run into a folder of the cache, which all workers see; no message holds them, or a tensor."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import pickle
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Store
from ptx.cache.locks import owner
from ptx.cache.problems import unwritable
from ptx.engine.step import Step
from ptx.errors import PtxError
from ptx.files import write_whole
from ptx.suites.task import Fact, Task

FOLDER = "tasks"  # of a cache


class Writer:
    """Turns groups into messages; `folder` gets a file for each task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[int, tuple[Task, str]] = {}  # with the task, so that no other gets its number

    def message(self, steps: Sequence[Step]) -> bytes:
        """Raises PtxError if a task cannot be written."""
        for step in steps:
            _ = step.key, step.depth  # what is known goes along
        content = io.BytesIO()
        _Pickler(content, self).dump(list(steps))
        return content.getvalue()

    def written(self, of: Task) -> str:
        """The file of a task."""
        if id(of) not in self._written:
            content = _record(of)
            path = self.folder / f"{hashlib.sha256(content).hexdigest()}.json"
            try:
                write_whole(path, content)
            except OSError as error:
                raise unwritable(self.folder, error) from None
            self._written[id(of)] = (of, str(path))
        return self._written[id(of)][1]


class _Pickler(pickle.Pickler):
    def __init__(self, content: io.BytesIO, writer: Writer) -> None:
        super().__init__(content, protocol=pickle.HIGHEST_PROTOCOL)
        self.writer = writer

    def persistent_id(self, of: Any) -> str | None:
        return self.writer.written(of) if isinstance(of, Task) else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, path: str) -> Task:
        return _task(path)


@contextlib.contextmanager
def writer(store: Store) -> Iterator[Writer]:
    folder = store.root / FOLDER / f"{uuid.uuid4().hex[:8]}.{owner()}"
    try:
        yield Writer(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read(message: bytes) -> list[Step]:
    """Raises PtxError if a task's file is not as it was written."""
    steps: list[Step] = _Unpickler(io.BytesIO(message)).load()
    return steps


@functools.lru_cache(maxsize=1024)
def _task(path: str) -> Task:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PtxError(
            f"{path} cannot be read: {error.strerror}",
            "put the cache on a folder that all workers see by the same path",
        ) from None
    if hashlib.sha256(content).hexdigest() != Path(path).stem:
        raise PtxError(f"{path} is not as it was written", "run the same command again")
    said = json.loads(content)
    facts = {
        split: tuple(Fact(s, o, where, template, tuple(others)) for s, o, where, template, others in rows)
        for split, rows in said.pop("splits").items()
    }
    own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Task(splits=facts, **own)


def _record(task: Task) -> bytes:
    """Every field of a task, so that none is another in a worker."""
    rows = {
        split: [[f.subject, f.object, f.where, f.template, f.others] for f in facts]
        for split, facts in task.splits.items()
    }
    said = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    return json.dumps({**said, "repeated": dict(task.repeated), "splits": rows}, ensure_ascii=True).encode("ascii")
