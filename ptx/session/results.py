"""What a cache has by now, as tables, claims and explanations: nothing is built for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptx.cache import Store
from ptx.config import CommonConfig
from ptx.config.lists import seeds_of
from ptx.errors import UsageError

if TYPE_CHECKING:
    from ptx.paper.claims import Claim
    from ptx.results.report.gather import Report
    from ptx.results.shown import Shown
    from ptx.results.why import Node
    from ptx.results.wrong import Wrong


@dataclass(frozen=True)
class Results:
    """The results in a store, read with the settings that all commands share."""

    common: CommonConfig
    store: Store

    def table(
        self, *, paper: str = "", compare: bool = False, models: str | None = None, seeds: str = "", by: str,
        split: str, curve: bool, keys: bool = False,
    ) -> Shown:  # fmt: skip
        """The evaluations in the cache, by method or task; or a table of the paper, or the curve of tuning."""
        from ptx.paper.run import cached_table
        from ptx.results.shown import cached_curves, cached_tables

        if curve and (paper or compare or models):
            raise UsageError("--curve is about tuning, not about the paper's tables", "leave out --paper")
        if keys and (curve or paper):
            what = "--curve" if curve else "--paper"
            raise UsageError(f"--keys are those of evaluations, in the table without {what}", f"leave {what} out")
        if (compare or models) and not paper:
            raise UsageError("--compare and --models belong to --paper", "add --paper 3, say")
        if paper:
            drawn: dict[str, Any] = {"seeds": self._seeds(seeds), "dtype": self.common.dtype}
            return cached_table(paper, self.store, models=models, compare=compare, **drawn)
        if curve:
            return cached_curves(self.store)
        return cached_tables(self.store, split=split, by=by, keys=keys, seeds=seeds_of(seeds))

    def claims(self, models: str | None, seeds: str = "") -> tuple[list[Claim], bool]:
        """The paper's claims, judged on the evaluations in the cache, and whether they are about a miniature."""
        from ptx.paper.run import cached_claims

        return cached_claims(self.store, models=models, seeds=self._seeds(seeds), dtype=self.common.dtype)

    def report(self, *, split: str, words: int) -> Report:
        """All that a page about the evaluations in the cache shows, with the words of so many transfers."""
        from ptx.results.report.gather import gather

        return gather(self.store, split=split, look_at=words, device=self.common.device)

    def why(self, key: str) -> Node:
        """An artifact of any stage, by key, with all that it was made from."""
        from ptx.results.why import lineage

        return lineage(self.store.find(key), self.store)

    def wrong(self, key: str, other: str = "") -> Wrong:
        """The wrong answers of an evaluation, or of two of the same facts, by key."""
        from ptx.results.wrong import wrong

        return wrong(self.store, key, other)

    def _seeds(self, named: str) -> tuple[int, ...]:
        """Those of `--seeds`, or that of `--seed`; none if neither is given: then all in the cache count."""
        return seeds_of(named) or ((self.common.seed,) if self.common.seed else ())
