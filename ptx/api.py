"""The commands as functions, for notebooks and scripts; results are pandas frames.

    found = search(sources=["bert-micro"], target="roberta-micro", tasks=["P27"])

A function takes the options of the command of its name as Python values: a list where the command takes commas, a
number, a Path, True or False. What is not given comes from PTX_* variables, ptx.toml, or the defaults that the
signature shows, so that a call and a command with the same settings share their artifacts. Frames hold what `--json`
prints, what matters first: for the stages a row for every artifact that was asked for, and with `upstream=True` (or
`dry_run=True`) behind these one for every other that they need. `suite` takes a frame of facts too, and where a model
is named, (model, tokenizer) of transformers will do. Mistakes raise PtxError, with its hint as a note; nothing is
printed without `progress=True`. Calls from several threads are made one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ptx.config.lists import names_in, text_of
from ptx.config.search import Solver
from ptx.config.tune import Layout, Optimizer, Purpose, Schedule
from ptx.errors import PtxError, UsageError, raise_last
from ptx.media import one_line
from ptx.notebooks.calls import GIVEN, WARNED, command
from ptx.notebooks.frames import frame, grid
from ptx.notebooks.sessions import built, session_of, warn

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


__all__ = [
    "PtxError", "anchors", "encode", "eval", "export", "inspect", "load_prompt", "models", "predict", "prompt",
    "report", "request", "run", "search", "suites", "table", "tune", "upgrade", "why", "words", "wrong_answers",
]  # fmt: skip

Names = str | Iterable[str]  # one, several in a list, or several with commas between them
File = str | Path
Seeds = int | str | Iterable[int]
if TYPE_CHECKING:
    Facts = File | pd.DataFrame
    Lm: TypeAlias = Any  # a name, or a model of transformers with its tokenizer: (model, tokenizer)
    Lms: TypeAlias = Any
else:  # the functions themselves get names (notebooks/memory.py)
    Facts, Lm, Lms = File, str, Names

CELL = ("suite", "method", "sources", "target", "task")  # what names a cell


@command
def tune(
    *, model: Lm = "", models: Lms = "", space: Literal["vectors", "words"] = "vectors", anchors: File = "",
    seeds: Seeds = "",
    suite: Facts = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3, purpose: Purpose = "home",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, upstream: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Tune one soft prompt per task on a model (Eq. 2), or on several as weighted words (`space="words"`), for any."""
    given = model, names_in(text_of(models)), space, str(anchors)
    return built(locals(), lambda session: session.tune(*given))


@command
def anchors(
    *, models: Lms, count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    cache_dir: File = "cache", seed: int = 0, force: bool = False, dry_run: bool = False, upstream: bool = False,
    progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Find the words that are one token in every model."""
    return built(locals(), lambda session: session.anchors(names_in(text_of(models))))


@command
def encode(
    *, model: Lm = "", prompt: Names = "", anchors: File = "", words_of: Names = "", seeds: Seeds = "",
    suite: Facts = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3, purpose: Purpose = "home",
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, upstream: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Write a model's prompts, or finished ones by key, as similarities to the anchors (Eq. 3)."""
    words = names_in(text_of(words_of))
    return built(locals(), lambda session: session.encode(model, text_of(prompt), str(anchors), words))


@command
def search(
    *, target: Lm, sources: Lms = "", method: str = "relative", prompt: Names = "", anchors: File = "",
    words_of: Names = "", seeds: Seeds = "",
    suite: Facts = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3, purpose: Purpose = "home",
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    solver: Solver = "exact", steps: int = 2000, mask: Literal["both", "source"] = "both",
    ridge: float | str = "0", select: Literal["none", "dev", "agree"] = "none", weights: str | Sequence[float] = "",
    normalize: bool = True, words: int | None = None, temperature: float = 0.05, centre: bool = True,
    length: float = 0.25, map: Literal["relative", "top-k"] = "relative", texts: File = "", nth: int = 1,
    inputs: File = "train", candidates: Names = "", trust: float = 1.0, distil_steps: int = 36,
    refine: int | None = None, forecast: bool = False,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, upstream: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Find the target's prompts with the sources' relative representation (Eq. 5 to 7), or by another `method`:
    direct, text, discretize, hubs, neighbours, omp, procrustes, linear, projector, residual, auto, distil or portable;
    random needs no sources."""
    given = names_in(text_of(sources)), target, method, text_of(prompt), str(anchors), names_in(text_of(words_of))
    return built(locals(), lambda session: session.search(*given))


@command
def eval(
    *, target: Lm, sources: Lms = "", method: str | None = None, prompt: Names = "", anchors: File = "",
    words_of: Names = "", seeds: Seeds = "",
    suite: Facts = "facts", columns: Names = "", template: str = "", limit: int | None = None, tasks: Names = "",
    truncate: bool = False, strict: bool = False, prompt_length: int = 5,
    layout: Layout = "postfix", init: Names = "text", init_scale: float | str = "0.1", epochs: int = 10,
    lr: float | None = None, lr_scale: float = 0.1, batch_size: int = 16, schedule: Schedule = "linear",
    warmup: float = 0.1, optimizer: Optimizer = "adam", patience: int = 3, purpose: Purpose = "home",
    count: int | None = None, order: Literal["random", "rank"] = "random", keep_words: bool = False,
    top_k: int | str = "8192",
    solver: Solver = "exact", steps: int = 2000, mask: Literal["both", "source"] = "both",
    ridge: float | str = "0", select: Literal["none", "dev", "agree"] = "none", weights: str | Sequence[float] = "",
    normalize: bool = True, words: int | None = None, temperature: float = 0.05, centre: bool = True,
    length: float = 0.25, map: Literal["relative", "top-k"] = "relative", texts: File = "", nth: int = 1,
    inputs: File = "train", candidates: Names = "", trust: float = 1.0, distil_steps: int = 36,
    refine: int | None = None, forecast: bool = False,
    split: Literal["train", "dev", "test"] = "test", on: Facts = "",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, upstream: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Score prompts on a target: accuracy (P@1) per task. `method` is relative with sources, else tuned; or one of
    `search`, or manual.

    `prompt` names finished prompts by key or file; with a `suite` given, they are scored on its tasks.
    """
    where = str(suite) if prompt and "suite" in GIVEN.get() else ""
    given = target, names_in(text_of(sources)), method, text_of(prompt), str(anchors), names_in(text_of(words_of))
    return built(locals(), lambda session: session.eval(*given, on=where))


@command
def table(
    *, paper: int | str = "", compare: bool = False, models: Literal["zoo", "paper"] | None = None,
    seeds: Seeds = "", by: Literal["method", "task"] = "method",
    split: Literal["train", "dev", "test"] = "test", keys: bool = False, curve: bool = False,
    figure: str = "", long: bool = False,
    cache_dir: File = "cache", seed: int = 0, dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The evaluations in the cache as the terminal shows them, in percent; builds none.

    Of the tables with several grids, `figure` is the one to have: micro (the default), macro, matching_loss, ...; with
    `long`, a row for each cell has all of them, unrounded, and with `keys` those of the evaluations behind it. `paper`
    is a table of the paper (1 to 6) or "claims", over `seeds` or all in the cache; `curve` is dev accuracy against
    gradient steps.
    """
    session = session_of(locals())
    if paper == "claims":
        return frame([claim.record() for claim in session.results.claims(models, text_of(seeds))[0]])
    asked: dict[str, Any] = {"compare": compare, "models": models, "seeds": text_of(seeds)}
    shown = session.results.table(paper=str(paper), by=by, split=split, curve=curve, keys=keys, **asked)
    return frame(shown.records(), CELL) if long else grid(shown.pages, figure)


@command
def report(
    *, output: File, split: Literal["train", "dev", "test"] = "test", words: int = 1,
    cache_dir: File = "cache", device: str = "auto", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Write the evaluations in the cache as one HTML file, with the words of so many transfers; returns its path."""
    from ptx.files import write_whole
    from ptx.results.report.write import page

    gathered = session_of(locals()).results.report(split=split, words=words)
    try:
        write_whole(Path(output), page(gathered).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise PtxError(f"cannot write {output}: {error.strerror}", "choose another output") from None
    return frame([gathered.row(Path(output))])


@command
def why(key: File, *, cache_dir: File = "cache", progress: bool = False) -> "pd.DataFrame":
    """How a number came about: an artifact, and all that it was made from (deeper by `depth`), with settings, figures,
    seconds, date, and the command line or call behind each."""
    return frame([*session_of(locals()).results.why(str(key)).flat()])


@command
def wrong_answers(
    key: File, other: File = "", *, limit: int | None = None, cache_dir: File = "cache", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """What an evaluation answers wrongly, or two of the same facts side by side: the command `errors`, whose name a
    module of the package has. The counts are in the frame's `attrs`."""
    found = session_of(locals()).results.wrong(str(key), str(other))
    answers = frame(found.rows[:limit])
    answers.attrs |= {"facts": found.facts, **found.counts}
    return answers


@command
def run(
    *names: File, models: Literal["zoo", "paper"] | None = None, seeds: Seeds = "", jobs: int = 0, scheduler: str = "",
    shard: str = "",
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, upstream: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Run whole grids, by a recipe's name (`ptx recipe` lists them) or TOML file: a row for each of their cells.

    With several `seeds`, cells are means over them. `jobs` are processes side by side; 0 is one a core for embedded
    models, else one. With the address of a Dask `scheduler` its workers build. A `shard`, "1/8" say, shows no cells.
    """
    from ptx import running
    from ptx.config.lists import seeds_of
    from ptx.engine.build import row_of
    from ptx.engine.shards import shard_of
    from ptx.paper.recipe import load_recipes
    from ptx.results import plots

    session, part = session_of(locals()), shard_of(shard)
    drawn = seeds_of(text_of(seeds))
    cells: list[Mapping[str, Any]] = []
    rows: list[Mapping[str, Any]] = []
    failures: list[PtxError] = []
    recipes = load_recipes([str(name) for name in names], models)
    if any(recipe.is_figure for recipe in recipes) and not dry_run:
        plots.check()
    for recipe in recipes:
        made_by = session.store.made_by
        how: dict[str, Any] = {"jobs": jobs, "scheduler": scheduler, "shard": part}
        ran = running.run(recipe, session.common, session.tell, seeds=drawn, made_by=made_by, **how)
        rows += [row_of(o, session.store, dry_run=dry_run) for o in (ran.built.outcomes if ran.built else ())]
        cells += ran.shown.records() if ran.shown else []
        failures += ran.failures
    raise_last(failures, warn)
    return frame([*cells, *(rows if upstream or dry_run else ())], CELL)


@command
def predict(
    *texts: str, prompt: File | Iterable[File], target: Lm = "", file: File | None = None, top: int = 5,
    layout: Layout | None = None, anchors: File = "",
    cache_dir: File = "cache", device: str = "auto", dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The target's likeliest answers for subjects of your own, with a prompt from the cache or a file, or each of
    several."""
    subjects = _subjects(texts, file, 'predict("Anémone", target=..., prompt=...)')
    session = session_of(locals())
    return frame(session.predict(target, text_of(prompt), subjects, top=top, layout=layout, anchors=str(anchors)))


@command
def request(
    *texts: str, key: File, url: str, file: File | None = None, model: str = "", max_tokens: int = 1,
    cache_dir: File = "cache", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """What a server writes behind subjects of your own, with a prompt from the cache: vLLM's, started with
    --enable-prompt-embeds. `model` is what it calls the model."""
    subjects = _subjects(texts, file, 'request("Anémone", key=..., url=...)')
    return frame(session_of(locals()).request(str(key), subjects, url=url, model=model, max_tokens=max_tokens))


@command
def upgrade(
    adapter: File, *, to: Lm, base: Lm = "", task: str = "", suite: Facts = "", columns: Names = "",
    template: str = "", limit: int | None = None, inputs: File = "", texts: File = "", candidates: Names = "",
    gradients: bool = False,
    format: Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai"] | None = None,
    output: File | None = None, check: float | None = None, anyway: bool = False,
    cache_dir: File = "cache", seed: int = 0, device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Carry a prompt over to another model, a new version of its own say: a row of what was written, with what is to be
    expected of it. `base` is the command's `--from`."""
    from ptx.config.search import SearchConfig
    from ptx.engine.build import row_of

    asked = SearchConfig(inputs=str(inputs), texts=str(texts), candidates=text_of(candidates))
    session = session_of(locals())
    done = session.upgrade(
        str(adapter), to, asked, base=base, suite=session.settings.suite, task=task, gradients=gradients, to=format,
        output=None if output is None else Path(output), check=check, anyway=anyway,
    )  # fmt: skip
    if done.doubt is not None:
        raise done.doubt
    if dry_run:
        return frame([row_of(outcome, session.store, dry_run=True) for outcome in done.built.outcomes])
    return frame([done.row])


@command
def inspect(
    prompt: File, *, model: Lm = "", top: int = 5,
    cache_dir: File = "cache", device: str = "auto", dtype: str = "float32", progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Read a soft prompt: the words nearest to each vector, and for a transferred one before and after."""
    return frame(session_of(locals()).inspect(str(prompt), model, top=top).rows)


@command
def models(*, progress: bool = False) -> "pd.DataFrame":
    """The models that ship with ptx and the aliases of the paper's models."""
    from ptx.lms.catalogue import catalogue

    return frame(catalogue())


@command
def suites(
    suite: Facts = "", *, columns: Names = "", template: str = "", limit: int | None = None, cache_dir: File = "cache",
    progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The tasks of a suite with their facts, by split, and templates; without a name, of the embedded ones."""
    from ptx.config import ReadingConfig
    from ptx.suites.listing import listing

    rows, remarks = listing(str(suite), ReadingConfig(text_of(columns), template, limit))
    for text in remarks:
        WARNED.get().append(one_line(text))
    return frame(rows)


@command
def words(*labels: str, models: Lms, cache_dir: File = "cache", progress: bool = False) -> "pd.DataFrame":
    """Which words are one token in every model, as answers and label words must be: for each model "yes", the tokens
    that a word is, or which other word is the same token."""
    from ptx.lms.spelling import one_token

    return frame(one_token(names_in(text_of(models)), labels), ("word",))


@command
def export(
    key: File, *, to: Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai", "words"], output: File,
    cache_dir: File = "cache", device: str = "auto", dtype: str = "float32", force: bool = False,
    dry_run: bool = False, progress: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Write a prompt for another program, with a card that says where it comes from; a row with the paths."""
    return frame([session_of(locals()).export(str(key), to, Path(output))])


class Loaded(NamedTuple):
    """A prompt [m, d], and what its file or its artifact says of it: model, task, layout and the rest of its card."""

    prompt: "Tensor"
    record: dict[str, Any]


@command
def load_prompt(
    named: File, *, model: Lm = "", format: str = "auto", rows: int | None = None, cache_dir: File = "cache",
    progress: bool = False,
) -> Loaded:  # fmt: skip
    """The soft prompt of a key, or in a file of any format that `ptx import` knows, and what is known of it.

    `model` is the one that it is for, where that decides what the vectors are: words are none without it, and programs
    that feed vectors behind the embedding layer write its factor into them.
    """
    from ptx.prompts.loaded import load

    session = session_of(locals())
    return Loaded(*load(str(named), session.store, session.tell, model=model, format=format, rows=rows))


@command
def prompt(named: File, *, cache_dir: File = "cache", progress: bool = False) -> "Tensor":
    """The soft prompt [m, d] in a file, or of an artifact by key or path: of a tuning, a search, or an evaluation."""
    from ptx import formats
    from ptx.cache import STAGES
    from ptx.prompts.brought import left_out
    from ptx.prompts.given import find
    from ptx.stages.tune import FILE

    session = session_of(locals())
    found = find(str(named), session.store, STAGES)
    read = formats.read(found if isinstance(found, Path) else found.path / FILE)
    if read.beside:
        session.tell.warn(left_out(read))
    return formats.vectors_in(read)


def _subjects(texts: Sequence[str], file: File | None, example: str) -> list[str]:
    """Those of the arguments and of a file. Raises UsageError if there is none."""
    from ptx.suites.lines import subjects_of

    if subjects := [*texts, *(subjects_of(Path(file)) if file is not None else [])]:
        return subjects
    raise UsageError("no subjects", f"give them first: {example}")
