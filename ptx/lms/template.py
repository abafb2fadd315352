"""Templates as strings: `[X]` the subject, `[V]` the soft prompt, `[Y]` the answer. Nothing heavy is imported."""

import re
from typing import NamedTuple

from ptx.errors import PtxError

# Where the soft prompt stands (the paper, Section 2; the prefix layout is the authors' code's).
LAYOUTS = {"postfix": "[X] [V] [Y] .", "prefix": "[V] [X] [Y] ."}
SIGNS = ".?!:;, "  # that end a sentence
STAND_IN = "a"  # a subject or prompt, where only its place matters


class Context(NamedTuple):
    """What an answer touches: the text before it from the last blank on (none at the start of a text), and behind it up
    to the next one. By it a tokenizer chooses among "France", " France" and the pieces of both."""

    before: str
    behind: str


IN_A_SENTENCE = Context(" ", "")


def check(template: str, *, causal: bool = False) -> str:
    """The template as a model of this kind reads it: a causal LM sees nothing behind the answer.

    Raises PtxError unless it has one [X] and one [Y], for a causal LM in this order.
    """
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        raise PtxError(f"the template {template!r} needs one [X] and one [Y]", 'write it like "[X] is in [Y] ."')
    if not causal:
        return template
    read = template[: template.index("[Y]") + len("[Y]")]
    if "[X]" not in read:
        hint = "reword the template so that [Y] comes last"
        raise PtxError(f"a causal LM cannot read {read!r}: the answer comes before the subject", hint)
    return read


def context_of(template: str) -> Context:
    """Where the answer stands in a template, as far as its spelling depends on it."""
    before, _, behind = (
        part.replace("[X]", STAND_IN).replace("[V]", STAND_IN) for part in template.partition("[Y]")
    )  # fmt: skip
    near = re.search(r"\s?\S*\Z", before)
    touching = re.match(r"\S*", behind)
    assert near is not None
    assert touching is not None
    return Context(near[0], touching[0])


def is_plain(template: str) -> bool:
    """Whether words, signs and placeholders are all separated by single spaces, and the answer is inside a sentence.

    Such templates are read alike by every version of ptx: earlier ones put these spaces everywhere, and keys depend on
    it.
    """
    parts = [part.strip() for part in re.split(r"(\[[XVY]\])", template) if part.strip()]
    return " ".join(parts) == template and context_of(template) == IN_A_SENTENCE
