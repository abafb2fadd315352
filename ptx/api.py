"""The commands as functions, for notebooks and scripts; results are pandas frames.

    found = search(sources=["bert-micro"], target="roberta-micro", tasks=["P27"])

A function takes the options of the command of its name as Python values: a list where the command takes commas, a
number, a Path, True or False. What is not given comes from PTX_* variables, ptx.toml, or the defaults that the
signature shows, so that a call and a command with the same settings share their artifacts. Frames hold what `--json`
prints: for the stages a row for every artifact touched, upstream ones included. Mistakes raise PtxError, with its hint
as a note; nothing is printed without `progress=True`. Calls from several threads are made one after the other.
"""

import functools
import inspect as python_inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from ptx.config import CONFIGS, CommonConfig, Layout, Optimizer, Schedule, Solver, SuiteConfig, names_in
from ptx.config.lists import text_of
from ptx.config.said import call
from ptx.config.settings import looked_up
from ptx.errors import PtxError, UsageError, raise_last
from ptx.media import one_line

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from ptx.engine.build import Built
    from ptx.session import Session

__all__ = [
    "PtxError", "anchors", "encode", "eval", "inspect", "models", "predict", "prompt", "report", "run", "search",
    "table", "tune", "upgrade", "why", "wrong_answers",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
Names = str | Iterable[str]  # one, several in a list, or several with commas between them
File = str | Path
Seeds = int | str | Iterable[int]
FIRST = ("stage", "model", "sources", "target", "method", "suite", "task")  # columns, where a frame has them


# PyTorch's default type, what transformers changes while it loads a model, and imports under way are one for the whole
# process. A call uses all cores by itself.
TURN = threading.RLock()
# Of the call under way: which options were given, warnings for the caller's line, and how it was written.
GIVEN: ContextVar[frozenset[str]] = ContextVar("given")
WARNED: ContextVar[list[str]] = ContextVar("warned")
CALL: ContextVar[str] = ContextVar("call")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """What is not given is looked up and everything checked before the function sees it; mistakes come with a hint."""
    signature = python_inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        warned: list[str] = []
        tokens = GIVEN.set(frozenset(options)), WARNED.set(warned), CALL.set(call(function.__name__, args, options))
        try:
            commands = lambda: import_module("ptx.cli.main").COMMANDS  # noqa: E731, imported if there is a settings file
            with TURN:
                return function(*args, **looked_up(function.__name__, signature, args, options, commands))
        except PtxError as error:
            error.add_note(f"hint: {error.hint}")
            raise error from None
        finally:
            GIVEN.reset(tokens[0])
            WARNED.reset(tokens[1])
            CALL.reset(tokens[2])
            for text in warned:
                warnings.warn(text, stacklevel=2)  # the caller's line

    return called


@command
def tune(
    *, model: str = "", models: Names = "", space: Literal["vectors", "words"] = "vectors", anchors: File = "",
    seeds: Seeds = "",
    suite: File = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Tune one soft prompt per task on a model (Eq. 2), or on several as weighted words (`space="words"`), for any."""
    given = model, names_in(text_of(models)), space, str(anchors)
    return _built(locals(), lambda session: session.tune(*given))


@command
def anchors(
    *, models: Names, count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    cache_dir: File = "cache", seed: int = 0, force: bool = False, dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Find the words that are one token in every model."""
    return _built(locals(), lambda session: session.anchors(names_in(text_of(models))))


@command
def encode(
    *, model: str = "", prompt: Names = "", anchors: File = "", words_of: Names = "", seeds: Seeds = "",
    suite: File = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3,
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Write a model's prompts, or finished ones by key, as similarities to the anchors (Eq. 3)."""
    words = names_in(text_of(words_of))
    return _built(locals(), lambda session: session.encode(model, text_of(prompt), str(anchors), words))


@command
def search(
    *, target: str, sources: Names = "", method: str = "relative", prompt: Names = "", anchors: File = "",
    words_of: Names = "", seeds: Seeds = "",
    suite: File = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3,
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    solver: Solver = "exact", steps: int = 2000, mask: Literal["both", "source"] = "both",
    ridge: float | str = "0", select: Literal["none", "dev", "agree"] = "none", weights: str | Sequence[float] = "",
    normalize: bool = True, words: int | None = None, temperature: float = 0.05, centre: bool = True,
    length: float = 0.5, map: Literal["relative", "top-k"] = "relative", texts: File = "", inputs: File = "train",
    candidates: Names = "", trust: float = 1.0, distil_steps: int = 36, forecast: bool = False,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Find the target's prompts with the sources' relative representation (Eq. 5 to 7), or by another `method`:
    direct, text, discretize, hubs, neighbours, omp, procrustes, linear, projector, residual, auto, distil or portable;
    random needs no sources."""
    given = names_in(text_of(sources)), target, method, text_of(prompt), str(anchors), names_in(text_of(words_of))
    return _built(locals(), lambda session: session.search(*given))


@command
def eval(
    *, target: str, sources: Names = "", method: str | None = None, prompt: Names = "", anchors: File = "",
    words_of: Names = "", seeds: Seeds = "",
    suite: File = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3,
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    solver: Solver = "exact", steps: int = 2000, mask: Literal["both", "source"] = "both",
    ridge: float | str = "0", select: Literal["none", "dev", "agree"] = "none", weights: str | Sequence[float] = "",
    normalize: bool = True, words: int | None = None, temperature: float = 0.05, centre: bool = True,
    length: float = 0.5, map: Literal["relative", "top-k"] = "relative", texts: File = "", inputs: File = "train",
    candidates: Names = "", trust: float = 1.0, distil_steps: int = 36, forecast: bool = False,
    split: Literal["train", "dev", "test"] = "test", on: File = "",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Score prompts on a target: accuracy (P@1) per task. `method` is relative with sources, else tuned; or one of
    `search`, or manual.

    `prompt` names finished prompts by key or file; with a `suite` given, they are scored on its tasks.
    """
    where = str(suite) if prompt and "suite" in GIVEN.get() else ""
    given = target, names_in(text_of(sources)), method, text_of(prompt), str(anchors), names_in(text_of(words_of))
    return _built(locals(), lambda session: session.eval(*given, on=where))


@command
def table(
    *, paper: int | str = "", compare: bool = False, models: Literal["zoo", "paper"] | None = None,
    seeds: Seeds = "", by: Literal["method", "task"] = "method",
    split: Literal["train", "dev", "test"] = "test", keys: bool = False, curve: bool = False,
    cache_dir: File = "cache", seed: int = 0, dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The evaluations in the cache, a row for each cell; builds none.

    `paper` is a table of the paper (1 to 6) or "claims", over `seeds` or all in the cache; `keys` adds those of the
    evaluations behind each cell; `curve` is dev accuracy against gradient steps.
    """
    session = _session(locals())
    if paper == "claims":
        return _frame([claim.record() for claim in session.claims(models, text_of(seeds))[0]])
    asked: dict[str, Any] = {"compare": compare, "models": models, "seeds": text_of(seeds)}
    shown = session.table(paper=str(paper), by=by, split=split, curve=curve, keys=keys, **asked)
    return _frame(shown.records())


@command
def report(
    *, output: File, split: Literal["train", "dev", "test"] = "test", words: int = 1,
    cache_dir: File = "cache", device: str = "auto", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Write the evaluations in the cache as one HTML file, with the words of so many transfers; returns its path."""
    from ptx.files import write_whole
    from ptx.results.report.write import page

    gathered = _session(locals()).report(split=split, words=words)
    try:
        write_whole(Path(output), page(gathered).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise PtxError(f"cannot write {output}: {error.strerror}", "choose another output") from None
    return _frame([gathered.row(Path(output))])


@command
def why(key: File, *, cache_dir: File = "cache", progress: bool = False) -> "pd.DataFrame":
    """How a number came about: an artifact, and all that it was made from (deeper by `depth`), with settings, figures,
    seconds, date, and the command line or call behind each."""
    return _frame([*_session(locals()).why(str(key)).flat()])


@command
def wrong_answers(
    key: File, other: File = "", *, limit: int | None = None, cache_dir: File = "cache", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """What an evaluation answers wrongly, or two of the same facts side by side: the command `errors`, whose name a
    module of the package has. The counts are in the frame's `attrs`."""
    found = _session(locals()).wrong(str(key), str(other))
    frame = _frame(found.rows[:limit])
    frame.attrs |= {"facts": found.facts, **found.counts}
    return frame


@command
def run(
    *names: File, models: Literal["zoo", "paper"] | None = None, seeds: Seeds = "", jobs: int = 0,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Run whole grids, by a recipe's name (`ptx recipe` lists them) or TOML file: their artifacts, then their cells.

    With several `seeds`, cells are means over them. `jobs` are processes side by side; 0 is one a core for embedded
    models, else one.
    """
    from ptx import running
    from ptx.config import seeds_of
    from ptx.engine.build import row_of
    from ptx.paper.recipe import load_recipes
    from ptx.results import plots

    session = _session(locals())
    drawn = seeds_of(text_of(seeds))
    rows: list[Mapping[str, Any]] = []
    failures: list[PtxError] = []
    recipes = load_recipes([str(name) for name in names], models)
    if any(recipe.is_figure for recipe in recipes) and not dry_run:
        plots.check()
    for recipe in recipes:
        made_by = session.store.made_by
        ran = running.run(recipe, session.common, session.tell, jobs=jobs, seeds=drawn, made_by=made_by)
        rows += [row_of(o, session.store, dry_run=dry_run) for o in (ran.built.outcomes if ran.built else ())]
        rows += ran.shown.records() if ran.shown else []
        failures += ran.failures
    raise_last(failures, _warn)
    return _frame(rows)


@command
def predict(
    *texts: str, target: str, prompt: File | Iterable[File], file: File | None = None, top: int = 5,
    layout: Layout | None = None, anchors: File = "",
    cache_dir: File = "cache", device: str = "auto", dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The target's likeliest answers for subjects of your own, with a prompt from the cache or a file, or each of
    several."""
    from ptx.suites.lines import subjects_of

    subjects = [*texts, *(subjects_of(Path(file)) if file is not None else [])]
    if not subjects:
        raise UsageError("no subjects", 'give them first: predict("Anémone", target=..., prompt=...)')
    session = _session(locals())
    return _frame(session.predict(target, text_of(prompt), subjects, top=top, layout=layout, anchors=str(anchors)))


@command
def upgrade(
    adapter: File, *, to: str, base: str = "", task: str = "", suite: File = "", columns: Names = "",
    template: str = "", limit: int | None = None, inputs: File = "", texts: File = "", candidates: Names = "",
    gradients: bool = False,
    format: Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai"] | None = None,
    output: File | None = None, check: float | None = None, anyway: bool = False,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Carry a prompt over to another model, a new version of its own say: a row of what was written, with what is to be
    expected of it. `base` is the command's `--from`."""
    from ptx.config import SearchConfig
    from ptx.engine.build import row_of

    asked = SearchConfig(inputs=str(inputs), texts=str(texts), candidates=text_of(candidates))
    session = _session(locals())
    done = session.upgrade(
        str(adapter), to, asked, base=base, suite=session.settings.suite, task=task, gradients=gradients, to=format,
        output=None if output is None else Path(output), check=check, anyway=anyway,
    )  # fmt: skip
    if done.doubt is not None:
        raise done.doubt
    if dry_run:
        return _frame([row_of(outcome, session.store, dry_run=True) for outcome in done.built.outcomes])
    return _frame([done.row])


@command
def inspect(
    prompt: File, *, model: str = "", top: int = 5,
    cache_dir: File = "cache", device: str = "auto", dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Read a soft prompt: the words nearest to each vector, and for a transferred one before and after."""
    return _frame(_session(locals()).inspect(str(prompt), model, top=top).rows)


@command
def models(*, progress: bool = False) -> "pd.DataFrame":
    """The models that ship with ptx and the aliases of the paper's models."""
    from ptx.lms.catalogue import catalogue

    return _frame(catalogue())


@command
def prompt(named: File, *, cache_dir: File = "cache", progress: bool = False) -> "Tensor":
    """The soft prompt [m, d] in a file, or of an artifact by key or path: of a tuning, a search, or an evaluation."""
    from ptx import formats
    from ptx.cache import STAGES
    from ptx.prompts.brought import left_out
    from ptx.prompts.given import find
    from ptx.stages.tune import FILE

    session = _session(locals())
    found = find(str(named), session.store, STAGES)
    read = formats.read(found if isinstance(found, Path) else found.path / FILE)
    if read.beside:
        session.tell.warn(left_out(read))
    return formats.vectors_in(read)


def _built(values: Mapping[str, Any], act: Callable[["Session"], "Built"]) -> "pd.DataFrame":
    """What a session built, as rows; a failure is raised, the last of several."""
    from ptx.engine.build import row_of

    session = _session(values)
    built = act(session)
    session.tell.message(built.summary)
    raise_last(built.errors, _warn)
    return _frame([row_of(outcome, session.store, dry_run=session.common.dry_run) for outcome in built.outcomes])


def _warn(error: PtxError) -> None:
    WARNED.get().append(f"{error.message} ({error.hint})")


def _session(values: Mapping[str, Any]) -> "Session":
    """A session from a function's arguments: each config takes those of its fields."""
    from ptx.cli.output import Output
    from ptx.session import Session

    class Listener(Output):
        def warn(self, text: str) -> None:
            WARNED.get().append(one_line(text))

    def config(kind: Any) -> Any:
        texts = {field.name for field in fields(kind) if field.type is str}
        own = {field.name: values[field.name] for field in fields(kind) if field.name in values}
        return kind(**{name: text_of(value) if name in texts else value for name, value in own.items()})

    stages = {name: config(kind) for name, kind in CONFIGS.items() if all(f.name in values for f in fields(kind))}
    listener = Listener(quiet=not values["progress"])
    seeds, made_by = text_of(values.get("seeds", "")), {"command": CALL.get()}
    return Session(config(CommonConfig), listener, config(SuiteConfig), seeds=seeds, made_by=made_by, **stages)


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Rows of different stages in one frame: whole numbers stay whole where some rows have none."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    for name in frame.columns:
        values = [row[name] for row in rows if row.get(name) is not None]
        if len(values) < len(rows) and all(type(value) is int for value in values):
            frame[name] = frame[name].astype("Int64")
    first = [name for name in FIRST if name in frame.columns]
    return frame[first + [name for name in frame.columns if name not in first]]
