"""Recipes: TOML files that describe a grid of models, methods and tasks, and what is shown of it.

title = "..."
shows = "table3"                    # a table or figure of the paper, or "benchmark"; without it, the general table
suite = "facts"                     # or a list of suites
tasks = ["P17", "P27"]              # all by default
words = "words.txt"                 # a file of words to take anchors from, if it is there
sources = [["bert-base"], ["bert-base", "roberta-base"]]
targets = ["albert-base", "../mine"]      # folders are relative to this file
words_of = ["bert-base", "albert-base"]   # whose shared words answers are among; by default those of all its models
seeds = [0, 1, 2]                   # means over these; --seeds comes first
methods = ["manual", "relative"]
self_transfer = false               # leave out cells whose target is among the sources
stand_ins = true                    # --models zoo (the default): an embedded model for each of the paper's
encode.top_k = 8192                 # a setting of a stage, named as its option is
[[sweep]]                           # cells once for each combination of these settings; sweeps add up
search.normalize = [true, false]
[zoo]                               # what differs with --models zoo, or [paper] with --models paper
encode.top_k = "48%"

In place of sources and targets a ladder of distance (shows = "ladder") has rungs of pairs, each with words of its own:
[[rung]]
name = "other size"
pairs = [["bert-micro", "bert-mini"]]     # source and target
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptx.config import CONFIGS
from ptx.config.validation import nearest, read_toml, validated
from ptx.errors import PtxError, UsageError
from ptx.lms.known import STAND_INS
from ptx.lms.meaning import among
from ptx.lms.places import check_name, located
from ptx.stages.methods import method_named, offered

FOLDER = Path(__file__).parent / "recipes"
PAPER = ("table1", "table2", "table3", "table4", "table5", "table6", "figure2", "figure3", "figure4")
BENCHMARK = "benchmark"
LADDER = "ladder"
SHOWN = (*PAPER, BENCHMARK, LADDER)
Settings = dict[str, Any]  # of one stage, named as its options are


def _key(description: str) -> Any:
    return field(default=None, metadata={"description": description})


@dataclass(frozen=True)
class Sweep:
    """Settings of the stages, each a value or a list of values."""

    tune: Settings = field(default_factory=dict)
    anchors: Settings = field(default_factory=dict)
    encode: Settings = field(default_factory=dict)
    search: Settings = field(default_factory=dict)
    eval: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """Pairs of models that are as far from each other: a source and a target each."""

    name: str
    pairs: list[list[str]]


@dataclass(frozen=True)
class Part:
    """What a recipe's file may say, and each of its tables [zoo] and [paper]; None where it does not."""

    title: str | None = _key("A title for people.")
    shows: str | None = _key("A table or figure of the paper, benchmark, or ladder; without it, the general table.")
    suite: str | list[str] | None = _key("A suite, or a list of suites; facts by default.")
    tasks: list[str] | None = _key("Tasks; all by default.")
    words: str | None = _key("A file of words to take anchors from, as --anchors FILE; left out if it is not there.")
    words_of: list[str] | None = _key(
        "Models whose shared words are anchors and answers; by default all of the recipe."
    )
    seeds: list[int] | None = _key(
        "Run with each of these seeds, unless --seeds names others, and show means over them."
    )
    sources: list[list[str]] | None = _key("Lists of source models, one or several each; folders relative to the file.")
    targets: list[str] | None = _key("The models to transfer to.")
    rung: list[Rung] | None = _key("With shows = ladder, in place of sources and targets: pairs of models, by rungs.")
    methods: list[str] | None = _key("Methods; all by default.")
    self_transfer: bool | None = _key("false leaves out cells whose target is among the sources.")
    stand_ins: bool | None = _key("true lets embedded models stand in for the paper's, unless --models paper.")
    sweep: list[dict[str, Settings]] | None = _key("Cells once for each combination of these settings; sweeps add up.")
    tune: Settings | None = _key("Settings of tuning.")
    anchors: Settings | None = _key("Settings of the anchors.")
    encode: Settings | None = _key("Settings of encoding.")
    search: Settings | None = _key("Settings of the search.")
    eval: Settings | None = _key("Settings of the evaluation.")


@dataclass(frozen=True)
class File(Part):
    """A recipe's file as it stands."""

    zoo: Part | None = _key("What differs with --models zoo, the default.")
    paper: Part | None = _key("What differs with --models paper.")


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
    words: str
    sources: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    methods: tuple[str, ...]
    self_transfer: bool
    variants: tuple[Variant, ...]
    stand_ins: Mapping[str, str | None]  # the paper's model -> the one that runs, None if there is none
    rungs: tuple[Rung, ...] = ()
    words_of: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def is_figure(self) -> bool:
        """Whether there are files to draw, besides a table."""
        return self.shows.startswith("figure") or self.shows == BENCHMARK

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys([*self.targets, *itertools.chain(*self.sources)]))

    def parts(self) -> Iterator[tuple["Recipe", Mapping[str, str]]]:
        """Recipes of which each has anchors of its own, and where it stands in this one: this recipe itself, or of a
        ladder every pair."""
        if not self.rungs:
            yield self, {}
        for rung in self.rungs:
            for source, target in rung.pairs:
                pair = dataclasses.replace(self, rungs=(), sources=((source,),), targets=(target,))
                yield pair, {"rung": rung.name, "source": source}

    def cells(self) -> Iterator[tuple[str, list[str], str]]:
        """(method, sources, target), of those cells that exist."""
        for name, target in itertools.product(self.methods, self.targets):
            method = method_named(name)
            if method.sources == 0:
                yield name, [], target
                continue
            for sources in self.sources:
                possible = method.sources in (None, len(sources)) and method.exists(sources, target)
                if possible and (self.self_transfer or not among(target, sources)):
                    yield name, list(sources), target


def path_of(name: str) -> Path:
    """The file of a recipe that is known by name, or a user's. Raises PtxError for an unknown one."""
    path = FOLDER / f"{name}.toml" if not name.endswith(".toml") else Path(name)
    if not path.is_file():
        known = sorted(file.stem for file in FOLDER.glob("*.toml"))
        raise PtxError(f"unknown recipe {name!r}", f"choose {', '.join(known)}, or give the path of a TOML file")
    return path


def listing() -> list[dict[str, str]]:
    """The recipes that are known by name, the demo first."""
    recipes = [load_recipe(name) for name in ("demo", BENCHMARK, "real", *PAPER)]
    return [{"recipe": recipe.name, "title": recipe.title} for recipe in recipes]


def load_recipes(names: Sequence[str], models: str | None = None) -> list[Recipe]:
    """Recipes by names or paths, "paper" standing for all of the paper's: a mistake in the last costs nothing of the
    first."""
    return [load_recipe(one, models) for name in names for one in (PAPER if name == "paper" else (name,))]


def load_recipe(name: str, models: str | None = None) -> Recipe:
    """A recipe by name or path, for `--models` "zoo" or "paper" (None: zoo, if the recipe has stand-ins).

    Raises PtxError for an unknown name, bad TOML, an unknown key, model, method or value, each with file and key.
    """
    path = path_of(name)
    file = validated(File, read_toml(path, "correct the file"), str(path))
    if models is not None and not file.stand_ins:
        raise UsageError(f"--models {models}: {name} names its models itself", "leave --models out")
    zoo = file.stand_ins and (models or "zoo") == "zoo"
    differs = (file.zoo if zoo else file.paper) if file.stand_ins else None
    return _recipe(path, _merged(file, differs or Part()), STAND_INS if zoo else {name: name for name in STAND_INS})


def _merged(file: File, differs: Part) -> Part:
    """A part of a file over the whole; settings of a stage are taken one by one."""
    said = {name: value for name, value in vars(differs).items() if value is not None}
    settings = {stage: (getattr(file, stage) or {}) | said[stage] for stage in CONFIGS if stage in said}
    return dataclasses.replace(file, **said | settings)


def _recipe(path: Path, part: Part, stand_ins: Mapping[str, str | None]) -> Recipe:
    sources, targets = part.sources or [], part.targets or []
    if part.rung or part.shows == LADDER:
        sources, targets = _ladder(path, part)
    methods = offered() if part.methods is None else part.methods
    shows = ("shows: unknown", [part.shows or ""], SHOWN)
    for key, words, known in (("methods: unknown method", methods, offered()), shows):
        if wrong := [word for word in words if word and word not in known]:
            raise PtxError(f"{path}: {key} {wrong[0]!r}", nearest(wrong[0], list(known)))
    lists = {"targets": targets, "sources": [*itertools.chain(*sources)]}
    words_of = part.words_of or []
    place = {name: _located(path, key, name) for key, of in {**lists, "words_of": words_of}.items() for name in of}
    for key, models in lists.items():
        needed = key == "targets" or any(method_named(method).sources != 0 for method in methods)
        if not models and needed and part.shows != "table4":
            raise PtxError(f"{path}: no {key}", f"copy {FOLDER / 'demo.toml'} and edit it")
    if words_of and (other := [name for models in lists.values() for name in models if name not in words_of]):
        raise PtxError(f"{path}: words_of: {other[0]} is not among them, and answers too", f"add {other[0]!r}")
    runs = {name: run for name in place if (run := stand_ins.get(name, place[name]))}
    return Recipe(
        name=path.stem,
        title=part.title or path.stem,
        shows=part.shows or "",
        tasks=tuple(part.tasks or ()),
        words=part.words or "",
        sources=tuple(tuple(runs[name] for name in group) for group in sources if runs.keys() >= {*group}),
        targets=tuple(runs[name] for name in targets if name in runs),
        methods=tuple(methods),
        self_transfer=part.self_transfer is not False,
        variants=tuple(_variants(path, part)),
        stand_ins=stand_ins,
        rungs=tuple(Rung(of.name, [[runs[name] for name in pair] for pair in of.pairs]) for of in part.rung or ()),
        words_of=tuple(runs[name] for name in words_of if name in runs),
        seeds=tuple(dict.fromkeys(part.seeds or ())),
    )


def _located(path: Path, key: str, name: str) -> str:
    """A model by a name that means the same anywhere: a folder is relative to the recipe, and to nothing else. Raises
    PtxError for a name that means nothing."""
    if path.parent == FOLDER:
        check_name(name, f"{path}: {key}: ")
        return located(name)
    found = located(name, str(path.absolute().parent))
    if found == name and located(name) != name:
        hint = f"folders are relative to the recipe: write {os.path.relpath(located(name), path.parent)}"
        raise PtxError(f"{path}: {key}: beside the recipe is no {name}", hint)
    check_name(found, f"{path}: {key}: ")
    return found


def _ladder(path: Path, part: Part) -> tuple[list[list[str]], list[str]]:
    """The sources and targets of a ladder. Raises PtxError for what is none."""
    like = f"copy {FOLDER / 'real.toml'} and edit it"
    if not part.rung or part.shows != LADDER:
        raise PtxError(f'{path}: a ladder has both shows = "{LADDER}" and [[rung]]', like)
    for key in ("sources", "targets", "sweep", "stand_ins"):
        if getattr(part, key):
            raise PtxError(f"{path}: {key}: a ladder has none: it names its models in [[rung]]", f"leave {key} out")
    if isinstance(part.suite, list):
        raise PtxError(f"{path}: suite: a ladder is about one", "give its name alone")
    pairs = [(rung.name, pair) for rung in part.rung for pair in rung.pairs]
    for name, pair in pairs:
        if len(pair) != 2:
            raise PtxError(
                f"{path}: rung {name!r}: {pair} is no pair", 'write source and target, as ["gpt2", "t5-small"]'
            )
    return [[source] for _, (source, _) in pairs], [target for _, (_, target) in pairs]


def _variants(path: Path, part: Part) -> Iterator[Variant]:
    suites = [part.suite] if isinstance(part.suite, str) else part.suite or ["facts"]
    for suite, (number, sweep) in itertools.product(suites, enumerate(part.sweep or [{}], start=1)):
        validated(Sweep, sweep, str(path), f"sweep {number}")
        swept = {f"{stage}.{name}": values for stage, own in sweep.items() for name, values in own.items()}
        lists = [values if isinstance(values, list) else [values] for values in swept.values()]
        for combination in itertools.product(*lists):
            chosen = dict(zip(swept, combination, strict=True))
            configs: dict[str, Any] = {}
            for stage, config in CONFIGS.items():
                own = {name.removeprefix(f"{stage}."): v for name, v in chosen.items() if name.startswith(f"{stage}.")}
                configs[stage] = validated(config, (getattr(part, stage) or {}) | own, str(path), stage)
            yield Variant(suite, chosen, configs)
