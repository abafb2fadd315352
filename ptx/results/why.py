"""How a number came about: an artifact, and all that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptx.cache import Artifact, Store
from ptx.config import CONFIGS
from ptx.config.fields import left_out
from ptx.config.tune import TuneConfig
from ptx.results.report.again import as_named, options
from ptx.stages import stage_named
from ptx.stages.choice import WRITTEN

LONG = ("history", "origin", "pairs", "vocabularies")  # figures that are tables of their own
NAMED = ("seed", "task", "method")  # settings that the name says


@dataclass(frozen=True)
class Node:
    """An artifact, or what lies outside the cache: facts, a model, a file, whose key is its digest.

    `settings` are all of its own stage's. `remark`: that it is told of above, has gone, or has been made anew since.
    """

    stage: str
    key: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)  # seconds, device, created, host, command, recipe
    remark: str = ""
    parents: Sequence[Node] = ()

    def record(self) -> dict[str, Any]:
        """For programs: nested, without what is empty."""
        own = {"stage": self.stage, "key": self.key, "name": self.name, "remark": self.remark, **self.made}
        own |= {"settings": dict(self.settings), "figures": dict(self.figures)}
        own["parents"] = [parent.record() for parent in self.parents]
        return {name: value for name, value in own.items() if value not in ("", {}, [])}

    def flat(self, depth: int = 0) -> Iterator[dict[str, Any]]:
        """The same as rows, what it was made from below it and deeper."""
        own = {name: value for name, value in self.record().items() if name != "parents"}
        yield {"depth": depth, **own}
        for parent in self.parents:
            yield from parent.flat(depth + 1)

    @property
    def chosen(self) -> list[str]:
        """The settings that are not as by default today, as options of the command line where they are such."""
        kind = CONFIGS.get(self.stage)
        known = {*vars(kind())} if kind else set()
        own = {**left_out(kind), **self.settings} if kind and self.settings else {}
        usual = vars(TuneConfig())  # evaluations have settings of tuning, too
        rest = {n: v for n, v in self.settings.items() if n not in known and n not in NAMED and usual.get(n) != v}
        given = [" ".join(options(own, kind))] if kind else []
        return [text for text in (*given, *(f"{WRITTEN.get(n, n)} {_short(v)}" for n, v in rest.items())) if text]

    @property
    def shown(self) -> dict[str, Any]:
        """The figures that commands show of its stage."""
        columns = stage_named(self.stage).columns if self.figures else ()
        return {name: self.figures[name] for name in columns if self.figures.get(name) is not None}


def _short(value: Any) -> str:
    return f"({len(value)})" if isinstance(value, list) and len(value) > 2 else str(value)


def lineage(artifact: Artifact, store: Store) -> Node:
    """An artifact with all that it was made from; what is met again is not told of twice."""
    root = artifact.path.parents[2]
    return _node(artifact, store if root == store.root else Store(root, store.warn), set())


def _node(artifact: Artifact, store: Store, seen: set[str]) -> Node:
    meta, stage = artifact.meta, artifact.meta["stage"]
    if artifact.key in seen:
        return Node(stage, artifact.key, "", remark="as above")
    seen.add(artifact.key)
    parents = []
    for parent in meta["parents"]:
        found = store.read(parent["stage"], parent["key"])
        if found is None:
            parents.append(Node(parent["stage"], parent["key"], "", remark="no longer in the cache"))
            continue
        own = _node(found, store, seen)
        if parent["payload"] != found.payload:
            own = Node(**{**vars(own), "remark": "made anew since, with another result"})
        parents.append(own)
    made = {name: meta.get(name) for name in ("seconds", "device", "created", "host")} | meta.get("made_by", {})
    return Node(
        stage, artifact.key, _name(meta), as_named(meta["config"].get(stage, {}), meta["labels"]),
        {name: value for name, value in meta["metrics"].items() if name not in LONG},
        {name: value for name, value in made.items() if value not in (None, "")},
        parents=[*parents, *_outside(meta)],
    )  # fmt: skip


def _name(meta: Mapping[str, Any]) -> str:
    """What it is, for people."""
    labels = meta["labels"]
    if "models" in labels:
        return " and ".join(filter(None, [", ".join(labels["models"]), labels.get("words")]))
    pair = [labels.get("model") or "+".join(labels.get("sources", ())), labels.get("target", "")]
    place = [labels.get("suite"), labels.get("task"), labels.get("split")]
    named = [labels.get("method"), " > ".join(filter(None, pair)), " ".join(filter(None, place))]
    seed = [f"seed {labels['seed']}"] if labels.get("seed") else []
    return ", ".join(str(part) for part in [*named, *seed, labels.get("recipe"), labels.get("by")] if part)


def _outside(meta: Mapping[str, Any]) -> Iterator[Node]:
    """Facts, models and files, by the digests that are in the key."""
    labels = meta["labels"]
    place = " ".join(str(labels[name]) for name in ("suite", "task") if name in labels)
    for name, digest in meta["inputs"].items():
        if name in ("model", "target"):
            yield Node("model", str(digest), str(labels.get(name) or labels.get("model") or ""))
        elif name == "tokenizers":
            yield Node("tokenizers", "", f"of {', '.join(labels['models'])}")
        elif isinstance(digest, list):
            names = ", ".join(labels.get("sources", ()))  # in another order
            yield from (Node("model", str(one), f"one of {names}") for one in digest)
        elif name in ("facts", "train", "subjects"):
            split = {"facts": labels.get("split", ""), "train": "train, for the majority"}.get(name, "")
            yield Node("subjects" if name == "subjects" else "facts", str(digest), f"{place} {split}".strip())
        else:  # a file that was read
            yield Node(name, str(digest), str(labels.get("file") or labels.get("words") or ""))
