"""Recipes: TOML files that describe a grid of models, methods and tasks, and what is shown of it.

title = "..."
shows = "table3"                    # a table or figure of the paper; without it, the general results table
suite = "facts"                     # or a list of suites
tasks = ["P17", "P27"]              # all by default
sources = [["bert-base"], ["bert-base", "roberta-base"]]
targets = ["albert-base"]
methods = ["manual", "relative"]
self_transfer = false               # leave out cells whose target is among the sources
stand_ins = true                    # --models zoo (the default): an embedded model for each of the paper's
encode.top_k = 8192                 # a setting of a stage, named as its option is
[[sweep]]                           # cells once for each combination of these settings; sweeps add up
search.normalize = [true, false]
[zoo]                               # what differs with --models zoo, or [paper] with --models paper
encode.top_k = "48%"
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.config import AnchorsConfig, EncodeConfig, EvalConfig, SearchConfig, TuneConfig
from ptx.errors import PtxError, UsageError
from ptx.lms.catalogue import embedding_width
from ptx.lms.models import STAND_INS, check_name, resolve
from ptx.plan import METHODS, ONE_SOURCE, SOURCELESS

FOLDER = Path(__file__).parent / "recipes"
PAPER = ("table1", "table2", "table3", "table4", "table5", "table6", "figure2", "figure3", "figure4")
STAGES: dict[str, Any] = {
    "tune": TuneConfig,
    "anchors": AnchorsConfig,
    "encode": EncodeConfig,
    "search": SearchConfig,
    "eval": EvalConfig,
}
VARIANTS = ("zoo", "paper")
KEYS = ("title", "shows", "suite", "tasks", "sources", "targets", "methods", "self_transfer", "stand_ins", "sweep")


@dataclass(frozen=True)
class Variant:
    """One suite and one combination of swept settings, as `{"encode.top_k": 512}`; `configs` has every stage's."""

    suite: str
    swept: Mapping[str, Any]
    configs: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A recipe with its stand-ins in place: every name is that of the model which runs."""

    name: str
    title: str
    shows: str
    tasks: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    methods: tuple[str, ...]
    self_transfer: bool
    variants: tuple[Variant, ...]
    stand_ins: Mapping[str, str | None]  # the paper's model -> the one that runs, None if there is none

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys([*self.targets, *itertools.chain(*self.sources)]))

    def cells(self) -> Iterator[tuple[str, list[str], str]]:
        """(method, sources, target). Direct transfer exists between different models of one width only."""
        for method, target in itertools.product(self.methods, self.targets):
            if method in SOURCELESS:
                yield method, [], target
                continue
            for sources in self.sources:
                possible = method not in ONE_SOURCE or len(sources) == 1
                if method == "direct" and possible:
                    possible = sources[0] != target and _width(sources[0]) == _width(target)
                if possible and (self.self_transfer or target not in sources):
                    yield method, list(sources), target


def load_recipe(name: str, models: str | None = None) -> Recipe:
    """A recipe by name or path, for `--models` "zoo" or "paper" (None: zoo, if the recipe has stand-ins).

    Raises PtxError for an unknown name, bad TOML, an unknown key, model, method or value, each with file and key.
    """
    path = FOLDER / f"{name}.toml" if not name.endswith(".toml") else Path(name)
    if not path.is_file():
        known = sorted(file.stem for file in FOLDER.glob("*.toml"))
        raise PtxError(f"unknown recipe {name!r}", f"choose {', '.join(known)}, or give the path of a TOML file")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PtxError(f"{path}: {error}", "correct the file") from None
    _check_keys(content, [*KEYS, *STAGES, *VARIANTS], str(path))
    stands = bool(content.get("stand_ins"))
    if models is not None and not stands:
        raise UsageError(f"--models {models}: {name} names its models itself", "leave --models out")
    chosen = (models or "zoo") if stands else "paper"
    for variant in VARIANTS:
        _check_keys(content.get(variant, {}), [*KEYS, *STAGES], f"{path}: [{variant}]")
    raw = content | content.get(chosen, {}) if stands else content
    raw |= {stage: content.get(stage, {}) | raw.get(stage, {}) for stage in STAGES}
    return _recipe(path, raw, STAND_INS if stands and chosen == "zoo" else {name: name for name in STAND_INS})


def _recipe(path: Path, raw: Mapping[str, Any], stand_ins: Mapping[str, str | None]) -> Recipe:
    for key in ("tasks", "targets", "methods"):
        _check_list(path, key, raw.get(key, []), str)
    _check_list(path, "sources", raw.get("sources", []), list)
    for group in raw.get("sources", []):
        _check_list(path, "sources", group, str)
    methods = tuple(raw.get("methods", METHODS))
    for method in methods:
        if method not in METHODS:
            raise PtxError(f"{path}: methods: unknown method {method!r}", nearest(method, METHODS))
    lists = {"targets": raw.get("targets", []), "sources": [*itertools.chain(*raw.get("sources", []))]}
    for key, models in lists.items():
        for name in models:
            check_name(name, f"{path}: {key}: ")
    for key in ("sources", "targets"):
        if not raw.get(key) and raw.get("shows") != "table4" and (key == "targets" or set(methods) - set(SOURCELESS)):
            raise PtxError(f"{path}: no {key}", f"copy {FOLDER / 'demo.toml'} and edit it")
    if raw.get("shows", "") not in ("", *PAPER):
        raise PtxError(f"{path}: shows: unknown {raw['shows']!r}", nearest(raw["shows"], PAPER))
    run = {name: stand_ins.get(name, name) for models in lists.values() for name in models}
    sources = (tuple(run[name] for name in group) for group in raw.get("sources", []))
    return Recipe(
        name=path.stem,
        title=raw.get("title", path.stem),
        shows=raw.get("shows", ""),
        tasks=tuple(raw.get("tasks", ())),
        sources=tuple(tuple(name for name in group if name) for group in sources if None not in group),
        targets=tuple(name for target in raw.get("targets", []) if (name := run[target])),
        methods=methods,
        self_transfer=raw.get("self_transfer", True),
        variants=tuple(_variants(path, raw)),
        stand_ins=stand_ins,
    )


def _variants(path: Path, raw: Mapping[str, Any]) -> Iterator[Variant]:
    suites = raw.get("suite", "facts")
    for suite in [suites] if isinstance(suites, str) else suites:
        for number, sweep in enumerate(raw.get("sweep", [{}]), start=1):
            where = f"{path}: sweep {number}"
            _check_keys(sweep, list(STAGES), where)
            swept = {f"{stage}.{name}": values for stage, own in sweep.items() for name, values in own.items()}
            lists = [values if isinstance(values, list) else [values] for values in swept.values()]
            for combination in itertools.product(*lists):
                chosen = dict(zip(swept, combination, strict=True))
                configs = {}
                for stage, config in STAGES.items():
                    mine = {name.split(".")[1]: v for name, v in chosen.items() if name.startswith(f"{stage}.")}
                    configs[stage] = _config(config, raw.get(stage, {}) | mine, f"{path}: {stage}")
                yield Variant(suite, chosen, configs)


def _config(config: Any, given: Mapping[str, Any], where: str) -> Any:
    """The stage's config dataclass. Raises PtxError for an unknown setting or a value of the wrong type."""
    kinds = typing.get_type_hints(config)
    _check_keys(given, list(kinds), where)
    values = {}
    for name, value in given.items():
        kind = kinds[name]
        if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # top_k = 512, ridge = 0.1
        if not _fits(value, kind):
            raise PtxError(f"{where}.{name}: {value!r} will not do", f"give {_spell(kind)}")
        values[name] = value
    try:
        return config(**values)
    except UsageError as error:
        raise PtxError(f"{where}: {error.message}", error.hint) from None


def _fits(value: Any, kind: Any) -> bool:
    options = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return value in options
    if options:
        return any(_fits(value, option) for option in options)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _spell(kind: Any) -> str:
    options = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, options))
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return next(names[option] for option in (options or (kind,)) if option in names)


def _check_list(path: Path, key: str, value: Any, of: type) -> None:
    if not isinstance(value, list) or not all(isinstance(item, of) for item in value):
        what = "a list of lists of models" if key == "sources" else "a list of names"
        raise PtxError(f"{path}: {key} is not {what}", f"see {FOLDER / 'demo.toml'}")


def _check_keys(table: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(table, dict):
        raise PtxError(f"{where}: {table!r} is not a table of settings", f"choose among {', '.join(known)}")
    for key in table:
        if key not in known:
            raise PtxError(f"{where}: unknown key {key!r}", nearest(key, known))


def nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(known)}"


def _width(name: str) -> int:
    return embedding_width(resolve(name))
