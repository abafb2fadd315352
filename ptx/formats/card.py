"""A prompt's card: Markdown whose front matter the hub reads, with all that ptx knows about the prompt under `ptx`.

A folder's card is its README.md, a file's stands beside it under the same name with `.md` behind.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptx.config.tune import Layout
from ptx.config.validation import validated
from ptx.errors import PtxError, first_line
from ptx.formats.words import Words
from ptx.lms.names import public
from ptx.lms.places import hub_id, pinned
from ptx.media import code, counted, markdown, percent

FOLDER_CARD = "README.md"
HUB_FILE = "prompt.safetensors"  # what the prompt of a repository of the hub is called, whose card is the folder's
MAX_BYTES = 2**20
OPEN = {"extra": "ignore"}  # later versions of ptx may write more


@dataclass(frozen=True)
class Evaluation:
    """What is read of one of a record's evaluations."""

    __pydantic_config__ = OPEN
    split: str = field(metadata={"strict": True})
    accuracy: float
    facts: int


@dataclass(frozen=True)
class Source:
    """What is read of one of a record's sources."""

    __pydantic_config__ = OPEN
    model: str = field(metadata={"strict": True})


@dataclass(frozen=True)
class Choice:
    """What is read of how a record's prompt was chosen."""

    __pydantic_config__ = OPEN
    chosen: str
    agreement: float
    inputs: int
    kappa: float | None = None
    confidence: float | None = None
    forecast: float | None = None
    forecast_low: float | None = None
    forecast_high: float | None = None


@dataclass(frozen=True)
class Record:
    """Where a prompt comes from. `sha256` is of its vectors as ptx stores them; the other digests go into its keys.

    `leading` rows stand before the prompt in the file: the embeddings of what the model expects first. All rows of the
    file are multiplied by `factor`, as the model's embedding layer does.
    """

    __pydantic_config__ = OPEN
    version: str
    key: str
    method: str
    model: str
    model_digest: str
    tokenizer_digest: str
    width: int
    vectors: int = field(metadata={"gt": 0})
    layout: Layout
    suite: str
    task: str
    sha256: str
    leading: int = field(default=0, metadata={"ge": 0})
    factor: float | None = field(default=None, metadata={"gt": 0})
    commit: str | None = None  # of a hub model
    local: bool | None = None  # `model` is the last part of a path of somebody's
    input: str = ""  # the layout spelled out
    task_label: str = ""
    template: str | None = None  # the manual prompt of the task
    label_words: Sequence[str] = ()  # classification
    records_digest: str | None = None  # the train and dev records that it was tuned on
    train_facts: int | None = None
    seed: int | None = None
    dev_accuracy: float | None = None
    majority: float | None = None  # the dev accuracy of always the most frequent answer
    matching_loss: float | None = None
    evaluations: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[Mapping[str, Any]] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)  # what was chosen, and what is to be expected
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Any) -> "Record":
        """From the front matter. Raises PtxError if something needed is missing or of another kind."""
        if isinstance(values, dict):  # YAML's nothing is as good as no key
            values = {name: value for name, value in values.items() if value is not None}
        record = validated(cls, values, "ptx")
        validated(list[Evaluation], record.evaluations, "ptx", "evaluations")
        validated(list[Source], record.sources, "ptx", "sources")
        if record.choice:
            validated(Choice, record.choice, "ptx", "choice")
        return record

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, "", (), [], {})}


def beside(path: Path) -> Path:
    """Where the card of a prompt file or folder is."""
    own, folder = path.with_name(path.name + ".md"), path.with_name(FOLDER_CARD)
    if path.is_dir():
        return path / FOLDER_CARD
    return folder if path.name == HUB_FILE and folder.is_file() and not own.is_file() else own


def read(path: Path) -> Record | None:
    """What ptx wrote beside a prompt; None without a card, or with one that others wrote.

    Raises PtxError for a card of ptx that is damaged.
    """
    where = beside(path)
    if not where.is_file():
        return None
    try:
        text = where.read_bytes()[:MAX_BYTES].decode("utf-8", errors="replace")
    except OSError:
        return None
    if not text.startswith("---") or "\nptx:" not in text:
        return None
    from huggingface_hub import ModelCard

    try:
        values = ModelCard(text, ignore_metadata_errors=True).data.to_dict().get("ptx")
        return None if values is None else Record.parse(values)
    except Exception as error:  # YAML, and whatever else is wrong with an edited card
        hint = "export the prompt again, or move the card away"
        raise PtxError(f"the card {where} cannot be read: {first_line(error)}", hint) from None


def render(record: Record, *, usage: str, tags: Sequence[str], base: str | None, library: str | None = None) -> str:
    """The card. `usage` is how to use this file, in Markdown; `base` the base model on the hub, if it is there;
    `library` what the hub should load the file with."""
    from huggingface_hub import EvalResult, ModelCardData

    title = f"{record.task}{f' ({record.task_label})' if record.task_label else ''}, a soft prompt for {record.model}"
    results = [
        EvalResult(
            task_type="text-classification" if record.label_words else "fill-mask",
            dataset_type=record.suite,
            dataset_name=f"{record.suite} {record.task}",
            dataset_split=e["split"],
            metric_type="accuracy",
            metric_value=e["accuracy"],
        )
        for e in record.evaluations
    ]
    data = ModelCardData(
        base_model=base,
        library_name=library,
        tags=["soft-prompt", "prompt-tuning", "ptx", *tags],
        pipeline_tag="text-generation" if library == "peft" else None,
        model_name=title if results else None,
        eval_results=results or None,
        ptx=record.to_dict(),
    )
    parts = [f"---\n{data.to_yaml()}\n---\n\n# {markdown(title)}", _about(record), usage.strip(), _results(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_words(words: Words, repo: str) -> str:
    """The card of a portable prompt in a repository of the hub: its file has all that ptx reads of it."""
    from huggingface_hub import ModelCardData

    bases = [base for source in words.models if (base := hub_id(pinned(source.model)[0]))]
    data = ModelCardData(
        base_model=bases or None, license=words.license, library_name="ptx", tags=["soft-prompt", "ptx", "words"]
    )
    names = markdown(", ".join(public(source.model for source in words.models).values()))
    about = (
        f"{len(words.vectors)} vectors as weighted words, learned on {names}, which any model with these words reads."
    )
    use = f"## Use\n\n{code(f'ptx import hf:{repo} --model NAME')} makes vectors of them for a model."
    title = f"{markdown(words.task)}, a portable soft prompt"
    return f"---\n{data.to_yaml()}\n---\n\n# {title}\n\n{about}\n\n{use}\n"


def _about(record: Record) -> str:
    made = (
        f"{record.vectors} vectors of width {record.width} for the frozen model {markdown(record.model)}, "
        f"input {code(record.input)}."
    )
    if record.sources:
        names = markdown(" and ".join(sorted({str(source["model"]) for source in record.sources})))
        steps = "by gradient steps on unlabelled inputs" if record.method == "distil" else "without training"
        how = f"Transferred from {names} by the method {code(record.method)}, {steps} on {markdown(record.model)}."
    else:
        how = {"imported": "Imported from another program's file.", "random": "Drawn at random."}.get(
            record.method, f"Tuned on {markdown(record.model)}, whose weights did not change."
        )
    lines = [made, how, *map(_from, record.sources)]
    if record.choice:
        start = "Before these steps, of" if record.method == "distil" else "Of"
        lines.append(
            f"{start} all ways that were compared {code(record.choice['chosen'])} agrees most with the source, beyond "
            f"chance: on {record.choice['agreement']:.1%} of {record.choice['inputs']} inputs without labels."
        )
    if record.label_words:
        lines.append(f"The answer is one of: {markdown(', '.join(record.label_words))}.")
    if record.template:
        lines.append(f"The manual prompt of the same task: {code(record.template)}.")
    return "\n".join(lines)


def _from(source: Mapping[str, Any]) -> str:
    digest, key = (markdown(str(source.get(name, "unknown"))[:12]) for name in ("model_digest", "key"))
    return f"Its source: prompt {key} for {markdown(str(source['model']))}, whose files have the digest {digest}."


def _results(record: Record) -> str:
    rows = [
        f"| {markdown(e['split'])} accuracy (P@1) | {percent(e['accuracy'])} % of {counted(e['facts'], 'fact')} |"
        for e in record.evaluations
    ]
    if record.choice.get("forecast") is not None:
        middle, low, high = (percent(record.choice[name]) for name in ("forecast", "forecast_low", "forecast_high"))
        rows.append(f"| accuracy to expect, told without labels | {middle} % ({low} to {high}) |")
    if record.dev_accuracy is not None:
        rows.append(f"| dev accuracy while tuning | {percent(record.dev_accuracy)} % |")
    if record.matching_loss is not None:
        rows.append(f"| matching loss of the transfer | {record.matching_loss:.4f} |")
    return "\n".join(["## Figures", "", "| what | value |", "|---|---|", *rows]) if rows else ""
