"""Portable prompts as JSON that people read: every vector is a few words with weights, so it fits any model.

A vector is `scale` times the sum of its words' embeddings, each times its weight. The file may be anyone's: sizes are
bounded, numbers are finite, and names are checked, before anything is made of it.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from annotated_types import Ge, Gt, Le, MaxLen, MinLen  # pydantic, which brings them, is imported when it is needed

from ptx.config.tune import Layout
from ptx.config.validation import validated
from ptx.errors import PtxError

FILE = "prompt.words.json"
VERSION: Final = "ptx words 1"
MOST = 8  # words of a vector
DIGITS = 4  # of a weight behind the point, and of a scale in all: the prompt is what is written, not what it came from
MAX_BYTES, MAX_VECTORS, MAX_LETTERS, MAX_SCALE = 2**20, 1024, 100, 1e6
AGAIN = "fetch the file again, or correct it; docs/prompts.md says what it holds"

Word = Annotated[str, MinLen(1), MaxLen(MAX_LETTERS)]
Weight = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class Mixture:
    """One vector of a prompt: words with their weights, and how long the vector is beside their weighted sum."""

    scale: Annotated[float, Gt(0), Le(MAX_SCALE)]
    words: Annotated[Mapping[Word, Weight], MinLen(1), MaxLen(MOST)]


@dataclass(frozen=True)
class Source:
    """A model that the words were learned on; what they score there is None where it was not measured."""

    model: str
    digest: str
    dev_accuracy: Annotated[float, Ge(0), Le(1)] | None = None


@dataclass(frozen=True)
class Words:
    """A portable prompt: what the file holds."""

    format: Literal["ptx words 1"]
    suite: str
    task: str
    layout: Layout
    vectors: Annotated[Sequence[Mixture], MinLen(1), MaxLen(MAX_VECTORS)]
    template: str | None = None  # the task's manual prompt, for whoever reads the file
    models: Annotated[Sequence[Source], MaxLen(64)] = field(default=())
    license: str | None = None  # of the prompt; whoever publishes it says which

    def origin(self) -> dict[str, Any]:
        """What a card says of a prompt that was made of this one."""
        named = [
            {
                "model": source.model,
                "model_digest": source.digest,
                **({} if (score := source.dev_accuracy) is None else {"dev_accuracy": score}),
            }
            for source in self.models
        ]
        return {"method": "portable", "sources": named}


def mixture(scale: float, weights: Mapping[str, float]) -> Mixture:
    """A vector as it is written: weights that sum to one, the heaviest first, rounded; what vanishes is left out."""
    total = sum(weights.values())
    shares = sorted(((round(weight / total, DIGITS), word) for word, weight in weights.items()), reverse=True)
    return Mixture(float(f"{scale:.{DIGITS}g}"), {word: share for share, word in shares if share > 0})


def to_bytes(words: Words) -> bytes:
    """The file, a line for each vector. The same prompt gives the same bytes."""
    said = dataclasses.asdict(words)
    lists = {name: said.pop(name) for name in ("models", "vectors")}
    lines = [f"  {_spelled(name)}: {_spelled(value)}" for name, value in said.items()]
    for name, items in lists.items():
        inside = ",\n".join(f"    {_spelled(item)}" for item in items)
        lines.append(f"  {_spelled(name)}: [\n{inside}\n  ]" if items else f"  {_spelled(name)}: []")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8")


def _spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read(path: Path) -> Words:
    """Raises PtxError for a file that is no such prompt: too large, damaged, or with something else in it."""
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PtxError(f"{path} is larger than {MAX_BYTES:,} bytes, which no prompt of words is", AGAIN)
    try:
        values = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise PtxError(f"{path}: nested too deeply", AGAIN) from None
    except ValueError as error:  # of JSON, or of another encoding than UTF-8
        raise PtxError(f"{path} is no JSON file of words: {error}", AGAIN) from None
    if isinstance(values, dict) and (said := values.get("format")) != VERSION:
        what = "says no format" if said is None else f"is of the format {str(said)[:40]!r}"
        raise PtxError(f"{path} {what}; ptx reads {VERSION!r}", AGAIN)
    found: Words = validated(Words, values, str(path))
    if strange := next((word for of in found.vectors for word in of.words if not plain(word)), None):
        raise PtxError(f"{path}: {strange!r} is no word", "a word has no spaces or control characters in it")
    return found


def plain(word: str) -> bool:
    """Whether a word may stand in such a file."""
    return 0 < len(word) <= MAX_LETTERS and word.isprintable() and not any(letter.isspace() for letter in word)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ: of two weights of a word, JSON would silently take the second."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:40]!r} stands twice in one place")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
