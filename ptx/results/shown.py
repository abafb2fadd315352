"""What is shown of results: pages, and the artifact in which they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store, digest
from ptx.errors import PtxError
from ptx.files import write_whole
from ptx.lms.meaning import same
from ptx.media import counted
from ptx.results import collect, curve
from ptx.results.collect import Result
from ptx.results.now import current
from ptx.results.sheet import Page, render_pages
from ptx.results.table import tables
from ptx.stages.table import FILE, keep
from ptx.suites import SPLITS

PROMPTS = ("tune", "portable", "search")  # the stages that make them


@dataclass(frozen=True)
class Shown:
    """Pages, what they are kept as, and whether that was there already. `problem`: why only the pages could be had.

    A figure's files go into the user's folder, its page is printed all the same.
    """

    pages: Sequence[Page]
    artifact: Artifact | None
    reused: bool = False
    is_figure: bool = False
    problem: PtxError | None = None

    def records(self) -> list[Mapping[str, object]]:
        """The rows of all pages, each with the artifact's stage, key, path and seconds."""
        head: dict[str, object] = {"stage": "table"}
        if (kept := self.artifact) is not None:
            head = {"stage": kept.meta["stage"], "key": kept.key, "path": str(kept.path), "reused": self.reused}
            head["seconds"] = kept.meta["seconds"]
        return [{**head, **row} for page in self.pages for row in page.records]

    def noted(self, notes: Sequence[str]) -> "Shown":
        """With more to be read above each page."""
        return replace(self, pages=[replace(page, notes=[*page.notes, *notes]) for page in self.pages])

    def write_files(self, folder: Path) -> None:
        """Copies of a figure's files. Raises PtxError."""
        assert self.artifact is not None
        try:
            for name in self.artifact.meta["payload"]:
                write_whole(folder / name, (self.artifact.path / name).read_bytes())
        except OSError as error:
            raise PtxError(f"cannot write into {folder}: {error.strerror}", "choose another --output") from None


def tables_shown(results: Sequence[Result], store: Store, *, by: str, keys: bool = False) -> Shown:
    """Results grouped into tables, one for each differing setting."""
    results = collect.for_people(results)
    pages = tables(results, by=by, warn=store.warn, keys=keys, store=store)
    return _kept(pages, results, {"by": by, **({"keys": True} if keys else {})}, store)


def cached_tables(store: Store, *, split: str, by: str, keys: bool = False, seeds: Sequence[int] = ()) -> Shown:
    """All evaluations in the cache on one split, of what their names mean now; of drawn ones those of these `seeds`, if
    any are named. Raises PtxError if there are none."""
    found = collect.evaluations(store, split=split)
    if seeds and found:
        there = {of.meta["labels"]["seed"] for of in found if "seed" in of.meta["labels"]}
        if lacking := [str(seed) for seed in seeds if seed not in there]:
            hint = f"there are {', '.join(map(str, sorted(there)))}; `ptx eval --seeds {lacking[0]}` makes more"
            raise PtxError(f"no {split} evaluations of seed {', '.join(lacking)} in {store.root}", hint)
        found = [of for of in found if of.meta["labels"].get("seed", seeds[0]) in seeds]
    if not found:
        raise PtxError(f"no {split} evaluations in {store.root}", _instead(split, store))
    results = [collect.result_of(artifact) for artifact in current(found, f"{split} evaluation", store)]
    names = [name for result in results for name in (*result.labels["sources"], result.labels["target"])]
    return tables_shown(results, store, by=by, keys=keys).noted(same(names))


def _instead(split: str, store: Store) -> str:
    """What there is to show, or to do with what is there, in a cache without evaluations on a split."""
    counts = {other: len(collect.evaluations(store, split=other)) for other in SPLITS if other != split}
    if some := [other for other in counts if counts[other]]:
        others = [f"{counted(counts[on], 'evaluation')} on {on} (`ptx table --split {on}`)" for on in some]
        verb = "is" if counts[some[0]] == 1 else "are"
        return f"there {verb} {' and '.join(others)}; `ptx eval --split {split}` makes more"
    prompts = [f"{count} of {stage}" for stage in PROMPTS if (count := len(store.keys(stage)))]
    return f"there are prompts ({', '.join(prompts)}), which `ptx eval` scores" if prompts else "run `ptx run demo`"


def cached_curves(store: Store) -> Shown:
    """Dev accuracy against gradient steps, of the tuned prompts in the cache. Raises PtxError if there are none."""
    found = [result.artifact for result in curve.collect(store)]
    if not found:
        raise PtxError(f"no tuned prompts in {store.root}", "run `ptx tune --model bert-micro --tasks P17,P30`")
    results = [curve.result_of(artifact) for artifact in current(found, "tuned prompt", store)]
    results = collect.for_people(results)
    return _kept(curve.curves(results, warn=store.warn), results, {"by": "curve"}, store)


def _kept(pages: Sequence[Page], results: Sequence[Result], settings: Mapping[str, Any], store: Store) -> Shown:
    artifacts = [result.artifact for result in results]
    own = dict(settings)
    if other := [[r.artifact.key, r.labels] for r in results if r.labels != r.artifact.meta["labels"]]:
        own["shown"] = digest(sorted(other, key=str))  # models have other names than in meta.json
    return Shown(pages, *keep(own, {"by": settings["by"]}, artifacts, lambda: csv_file(pages), store))


def csv_file(pages: Sequence[Page]) -> dict[str, bytes]:
    return {FILE: render_pages(pages, "csv").encode("utf-8")}
