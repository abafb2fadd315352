"""Run a recipe: a grid of sources, targets, methods and tasks over one anchor set, and its table.

A recipe is a TOML file; those that ship are in `ptx/recipes/`. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptx.commands import Command
from ptx.config import AnchorsConfig, CommonConfig, EncodeConfig, EvalConfig, SearchConfig, SuiteConfig, TuneConfig
from ptx.errors import PtxError
from ptx.models import embedding_width, resolve, zoo
from ptx.plan import METHODS, SOURCELESS, default_anchors, grid
from ptx.table import collect

RECIPES = Path(__file__).parent / "recipes"
STAGES: dict[str, Any] = {
    "tune": TuneConfig,
    "anchors": AnchorsConfig,
    "encode": EncodeConfig,
    "search": SearchConfig,
    "eval": EvalConfig,
}
GRID = {"title", "suite", "tasks", "sources", "targets", "methods"}


def load_recipe(name: str) -> dict[str, Any]:
    """A recipe by name or path. Raises PtxError for an unknown name, bad TOML, or a key that means nothing."""
    path = RECIPES / f"{name}.toml" if not name.endswith(".toml") else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise PtxError(f"unknown recipe {name!r}", f"choose {known}, or give the path of a TOML file")
    try:
        recipe = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PtxError(f"{path}: {error}", "correct the file") from None
    hint = f"copy {RECIPES / 'demo.toml'} and edit it"
    if unknown := sorted(recipe.keys() - GRID - STAGES.keys()):
        raise PtxError(f"{path}: unknown key {unknown[0]!r}", hint)
    if unknown := sorted(set(recipe.get("methods", METHODS)) - set(METHODS)):
        raise PtxError(f"{path}: unknown method {unknown[0]!r}", f"choose among {', '.join(METHODS)}")
    for key in ("sources", "targets"):
        if not recipe.get(key):
            raise PtxError(f"{path}: no {key}", hint)
    return recipe


def cells(recipe: dict[str, Any]) -> Iterator[tuple[str, list[str], str]]:
    """(method, sources, target) of every cell. Direct transfer exists between different models of one width only."""
    for target in recipe["targets"]:
        for method in recipe.get("methods", METHODS):
            if method in SOURCELESS:
                yield method, [], target
                continue
            for sources in recipe["sources"]:
                if method == "relative" or (
                    sources != [target]
                    and len(sources) == 1
                    and embedding_width(resolve(sources[0])) == embedding_width(resolve(target))
                ):
                    yield method, list(sources), target


def run_recipe(name: str, common: CommonConfig, *, jobs: int, format: str, output: Path | None) -> None:
    """Build what the recipe needs, report it as any command does, and show the table of its cells."""
    recipe = load_recipe(name)
    suite = SuiteConfig(recipe.get("suite", "facts"), ",".join(recipe.get("tasks", ())))
    try:
        configs = {stage: config(**recipe.get(stage, {})) for stage, config in STAGES.items()}
    except TypeError as error:
        raise PtxError(f"{name}: {error}", "name settings as the options are, with underscores") from None
    command = Command(common, suite, **configs)
    named = list(dict.fromkeys([*recipe["targets"], *(model for group in recipe["sources"] for model in group)]))
    shared, description = default_anchors(named, command.settings)
    command.out.message(f"{recipe.get('title', name)}; anchors: words shared by {description}")
    goals = list(grid(cells(recipe), command.settings, shared))
    if jobs == 0:
        jobs = (os.cpu_count() or 1) if set(named) <= set(zoo()) else 1
    outcomes = command.run("run", goals, jobs=jobs, force="eval")
    if not common.dry_run:
        keys = [outcome.step.key for outcome in outcomes if outcome.step.stage == "eval"]
        results = collect(command.store, split=command.settings.eval.split, keys=keys)
        command.show_tables(results, by="method", format=format, output=output)
