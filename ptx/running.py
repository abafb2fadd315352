"""Running a recipe: all its cells as goals of one session, and what it shows of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ptx.config import CommonConfig, SuiteConfig
from ptx.engine.build import Built, Reporter
from ptx.errors import PtxError
from ptx.lms.known import zoo
from ptx.session import Session

if TYPE_CHECKING:
    from ptx.engine.shards import Shard
    from ptx.engine.step import Step
    from ptx.paper.plan import Planned
    from ptx.paper.recipe import Recipe
    from ptx.results.shown import Shown


@dataclass(frozen=True)
class Ran:
    """A recipe that was run: what was built of it, what it shows (None in a dry run), and every cell that failed."""

    built: Built | None
    shown: Shown | None
    failures: Sequence[PtxError]


def run(
    recipe: Recipe, common: CommonConfig, reporter: Reporter, *, jobs: int = 0, seeds: Sequence[int] = (),
    made_by: Mapping[str, str] = MappingProxyType({}), scheduler: str = "", shard: Shard | None = None,
) -> Ran:  # fmt: skip
    """Build what a recipe needs and collect what it shows, means over `seeds` (else that of `--seed`, else the recipe's
    own). What models of the hub will cost is told first; a dry run downloads none. `jobs` 0: one a core for embedded
    models, else one; those of a Dask `scheduler` in their place. Of a `shard` nothing is shown."""
    from ptx.lms.meaning import same
    from ptx.paper.ahead import said
    from ptx.paper.plan import failures, plan_cells
    from ptx.paper.run import recipe_shown
    from ptx.results.collect import result_of
    from ptx.results.shown import tables_shown

    seeds = seeds or ((common.seed,) if common.seed else recipe.seeds or (common.seed,))
    tasks = recipe.tasks
    planned: dict[int, list[Planned]] = {}
    cost, missing = said(recipe, common.device, seeds)
    if cost:
        reporter.message(f"{recipe.title}: {cost}")
    if missing and common.dry_run:  # keys need what would be downloaded
        return Ran(None, None, [])
    for seed in seeds if recipe.methods else ():
        planned[seed], description = plan_cells(recipe, seed, dtype=common.dtype)
    if planned:
        reporter.message(f"{recipe.title}; anchors: words shared by {description}")
    alike = same(recipe.models)
    for text in alike:
        reporter.message(text)
    goals = _goals(planned)
    if shard is not None:
        every, goals = len(goals), shard.of(goals)
        tasks = tuple({goal.task.name for goal in goals if goal.task})  # of others nothing is missing here
        reporter.message(f"shard {shard}: {len(goals)} of {every} evaluations")
    of = SuiteConfig(suite=recipe.variants[0].suite, tasks=",".join(tasks))
    session = Session(common, reporter, of, made_by={**made_by, "recipe": recipe.name})
    if jobs == 0:
        jobs = (os.cpu_count() or 1) if set(recipe.models) <= set(zoo()) else 1
    how = {"jobs": jobs, "scheduler": scheduler, "name": name_of(recipe, shard)}
    built = session.build("eval", goals, **how) if goals else None
    outcomes = built.outcomes if built else []
    failed = failures(planned, {o.step.key: o.error for o in outcomes if o.error is not None})
    shown = None
    if shard is not None:
        return Ran(built, None, failed)
    if not common.dry_run:
        artifacts = {o.step.key: o.artifact for o in outcomes if o.artifact is not None}
        if recipe.shows:
            try:
                shown = recipe_shown(recipe, planned, artifacts, session.store)
            except PtxError as error:
                failed = [*failed, error]
        elif built and built.done:
            results = [result_of(artifact) for artifact in sorted(built.done, key=lambda done: done.key)]
            shown = tables_shown(results, session.store, by="method")
        shown = shown and shown.noted(alike)
    return Ran(built, shown, failed)


def _goals(planned: Mapping[int, Sequence[Planned]]) -> list[Step]:
    """The evaluations of all cells, once each under each name."""
    every = (goal for cells in planned.values() for cell in cells for goal in cell.goals)
    return list({(goal.key, str(goal.labels)): goal for goal in every}.values())


def name_of(recipe: Recipe, shard: Shard | None = None) -> str:
    """Under which a run says what it is at."""
    return recipe.name if shard is None else f"{recipe.name} {shard}"


def left(recipe: Recipe, common: CommonConfig, reporter: Reporter, seeds: Sequence[int]) -> dict[str, dict[str, int]]:
    """By stage how many artifacts of a recipe are in the cache, as far as a look at their folders tells, and how many
    are left to build."""
    from ptx.engine.pipeline import there
    from ptx.paper.plan import plan_cells

    session = Session(common, reporter, SuiteConfig(suite=recipe.variants[0].suite, tasks=",".join(recipe.tasks)))
    drawn = (seeds or (common.seed,)) if recipe.methods else ()
    return there(_goals({seed: plan_cells(recipe, seed, dtype=common.dtype)[0] for seed in drawn}), session.store)
