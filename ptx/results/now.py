"""Which results of a cache are of what their names mean now: a name tells nothing of what it once stood for.

Compared are the models, the facts of suites, and the texts of their templates, with what lies on this machine now.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence, Set

from ptx.cache import Artifact, Store
from ptx.cache.store import Meta
from ptx.errors import PtxError
from ptx.lms.meaning import meaning
from ptx.lms.names import shown
from ptx.media import counted
from ptx.results.behind import Behind, behind
from ptx.stages.settings import some
from ptx.stages.texts import wordings_of
from ptx.suites import Task, load_suite
from ptx.suites.asked import parted
from ptx.suites.hub import PREFIX

Tasks = tuple[Task, Task]  # as it is, and with `--truncate`, of which labels say nothing


def current(found: Sequence[Artifact], what: str, store: Store) -> list[Artifact]:
    """Artifacts of one kind (`what`: "evaluation", "tuned prompt") that are of what their names mean now, each for
    every task of its suite that it is of. Those of names that mean nothing here stay as they were made. `store.warn`
    is told of both.

    Raises PtxError if none is left.
    """
    look = _Look()
    kept: list[Artifact] = []
    told: dict[str, tuple[set[str], dict[str, None]]] = {}  # artifacts and names, by what is the matter
    for artifact in found:
        labels, above = artifact.meta["labels"], behind(artifact.meta, store)
        tasks = look.tasks(artifact.meta, above.facts)
        models = {name: look.meaning(name) is not None for name in look.strange(artifact.meta, above)}
        other_models = [name for name, known in models.items() if known]
        other_facts = [labels["suite"]] if tasks == [] else []
        nothing = [name for name, known in models.items() if not known] + ([labels["suite"]] if tasks is None else [])
        left_out = bool(other_models or other_facts)
        for names, matter in (
            (other_models, "are left out: they were made when {} stood for other files"),
            (other_facts, "are left out: they were made when {} stood for other facts or texts"),
            ([] if left_out else nothing, "are shown as they were made: nothing can be read here as {}"),
        ):
            if names:
                keys, all_names = told.setdefault(matter, (set(), {}))
                keys.add(artifact.key)
                all_names.update(dict.fromkeys(names))
        if not left_out:
            kept += [artifact.named({**labels, "task": task}) for task in tasks or [labels["task"]]]
    for matter, (keys, all_names) in told.items():
        if len(keys) == 1:
            matter = matter.replace("are ", "is ", 1).replace("they were", "it was")
        store.warn(f"{counted(len(keys), what)} {matter.format(some([*shown(all_names).values()]))}")
    if found and not kept:
        hint = "make them anew as it is now, or put back what it was"
        raise PtxError(f"none of the {what}s in {store.root} is of what its names stand for now", hint)
    return kept


class _Look:
    """What was looked up, once each: what names mean, and suites."""

    def __init__(self) -> None:
        self.meaning = functools.cache(meaning)
        self.suite = functools.cache(_suite)
        self._by_facts = functools.cache(self._index)

    def strange(self, meta: Meta, above: Behind) -> list[str]:
        """Names of models that do not mean what an artifact was made with, or mean nothing."""
        labels, inputs = meta["labels"], meta["inputs"]
        name, own = labels.get("target") or labels["model"], inputs.get("target") or inputs["model"]
        found = [name] if self.meaning(name) != own else []
        if not above.whole:  # then its sources cannot be told
            return found
        sources = labels.get("sources", ())
        used = {own if model is None else model for model in above.models}
        strange = [source for source in sources if self.meaning(source) not in used]
        # Each of them is in it, but is it all of them?
        more = used - {own, *map(self.meaning, sources)} if sources and not strange else ()
        return found + (strange or [*sources] * bool(more))

    def tasks(self, meta: Meta, upstream: Set[str]) -> list[str] | None:
        """The tasks of its suite that an artifact is of, the one that it was made for first; None if they cannot be
        told. `upstream` are the digests of facts that its ancestors used."""
        labels = meta["labels"]
        scored, home = self.suite(labels["suite"]), self.suite(labels.get("tuned_on", labels["suite"]))
        if scored is None or home is None:
            return None
        names = (
            self._named(labels["suite"], labels["split"], meta["inputs"]["facts"]) if _is_evaluation(meta) else scored
        )
        found = [name for name in names if name in home and _is_of(meta, upstream, scored[name], home[name])]
        return sorted(found, key=lambda name: name != labels["task"])

    def _named(self, suite: str, split: str, facts: str) -> Sequence[str]:
        """The tasks of a suite that have these facts in a split."""
        return self._by_facts(suite, split).get(facts, ())

    def _index(self, suite: str, split: str) -> Mapping[str, Sequence[str]]:
        names: dict[str, list[str]] = {}
        for name, tasks in (self.suite(suite) or {}).items():
            for facts in _digests(tasks, split):
                names.setdefault(facts, []).append(name)
        return names


def _is_evaluation(meta: Meta) -> bool:
    return "train" in meta["inputs"]


def _suite(name: str) -> Mapping[str, Tasks] | None:
    """The tasks of a suite as it is now; None if there is none here, or a network would be asked."""
    _, remote, data_set = parted(name)[0].partition(PREFIX)
    if remote and not os.path.isdir(data_set):
        return None
    try:
        return {task.name: (task, dataclasses.replace(task, truncate=True)) for task in load_suite(name).tasks}
    except PtxError:
        return None


def _is_of(meta: Meta, upstream: Set[str], scored: Tasks, home: Tasks) -> bool:
    """Whether an artifact was made of a task's facts and texts. Its ancestors used those of `home`."""
    inputs, config, task = meta["inputs"], meta["config"], scored[0]
    if _is_evaluation(meta):
        split = meta["labels"]["split"]
        if inputs["facts"] not in _digests(scored, split):
            return False
        if task.splits["train"] and inputs["train"] not in _digests(scored, "train"):
            return False
    else:
        upstream = upstream | {inputs["facts"]}
    if any(of.get("task", task.name) != task.name for of in config.values()):
        return False
    if not upstream <= {*_digests(home, "train", "dev"), *_digests(home, "train"), *_digests(home, "dev")}:
        return False
    if task.template and config.get("eval", {}).get("template", task.template) != task.template:
        return False
    tuned, texts = config.get("tune", {}), wordings_of(home[0])
    begun = tuned.get("texts") or ([tuned["text"]] if "text" in tuned else texts)
    return begun == texts and {*texts} <= {*config.get("texts", {"texts": texts})["texts"]}


def _digests(tasks: Tasks, *splits: str) -> set[str]:
    return {task.digest(*splits) for task in tasks}
