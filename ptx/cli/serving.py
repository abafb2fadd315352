"""`ptx predict` and `ptx request`: what a model answers with a prompt, here or on a server."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.cli.output import shown
from ptx.cli.transfer import Anchors
from ptx.config import CommonConfig
from ptx.config.tune import Layout
from ptx.errors import PtxError, UsageError

Texts = Annotated[list[str] | None, typer.Argument(help="Subjects; without any, one a line from stdin.")]
File = Annotated[Path | None, typer.Option(help="Read subjects from a file, one a line.")]


def predict(
    prompt: Annotated[
        str,
        typer.Option(
            help="An artifact's key, or a prompt file of any format that import reads; several, comma-separated, are "
            "shown side by side.",
            show_default=False,
        ),
    ],
    common: Annotated[CommonConfig, ("cache_dir", "device", "dtype", *SAID)],
    target: Annotated[str, typer.Option(help="The model to ask; else the one that the prompts are for.")] = "",
    texts: Texts = None,
    file: File = None,
    top: Annotated[int, typer.Option(min=1, help="Answers per subject.")] = 5,
    layout: Annotated[Layout | None, typer.Option(help="The layout of a prompt file that does not say it.")] = None,
    anchors: Anchors = "",
) -> None:
    """The target's likeliest answers for subjects of your own, with a prompt from the cache or a file."""
    command = Command(common)
    subjects = _subjects(texts, file, "predict")
    rows = command.session.predict(target, prompt, subjects, top=top, layout=layout, anchors=anchors)
    if common.json or common.quiet or not any("prompt" in row for row in rows):
        command.out.rows(rows, path="answer")
    else:
        command.out.columns(*_side_by_side(rows))


def _side_by_side(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A column a prompt: its answers with their probabilities, best first."""
    prompts = list(dict.fromkeys(row["prompt"] for row in rows))
    places: dict[tuple[int, int], list[str]] = {}
    number = -1
    for row in rows:
        if row["prompt"] == prompts[0] and row["rank"] == 1:  # of the next subject
            number += 1
        at = number, row["rank"]
        if at not in places:
            places[at] = [row["subject"], str(row["rank"]), *[""] * len(prompts)]
        places[at][2 + prompts.index(row["prompt"])] = f"{row['answer']} {shown('probability', row['probability'])}"
    called = [Path(name).name if Path(name).exists() else name[:12] for name in prompts]
    return ["subject", "rank", *called], [places[at] for at in sorted(places)]


def request(
    key: Annotated[
        str,
        typer.Argument(help="The key of a tuned, transferred or imported prompt of a causal LM.", show_default=False),
    ],
    url: Annotated[str, typer.Option(help="Where the server is, such as http://localhost:8000.", show_default=False)],
    common: Annotated[CommonConfig, ("cache_dir", *SAID)],
    texts: Texts = None,
    file: File = None,
    model: Annotated[
        str, typer.Option(help="What the server calls the model; by default its hub id or your name for it.")
    ] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate; an answer of one word is one.")] = 1,
) -> None:
    """What a server writes behind subjects of your own: vLLM's, started with --enable-prompt-embeds.

    Inputs are sent as embeddings, made with the model's embedding matrix. A key of the server is read from the variable
    VLLM_API_KEY.
    """
    command = Command(common)
    subjects = _subjects(texts, file, "request")
    command.out.rows(
        command.session.request(key, subjects, url=url, model=model, max_tokens=max_tokens), path="completion"
    )


def _subjects(texts: Sequence[str] | None, file: Path | None, name: str) -> list[str]:
    """Those of the arguments and of a file, or else of stdin. Raises PtxError, UsageError if there is none."""
    from ptx.suites.lines import subjects_of

    subjects = [*(texts or []), *(subjects_of(file) if file else [])]
    if not subjects or subjects == ["-"]:
        try:
            subjects = [line.strip() for line in sys.stdin if line.strip()]
        except OSError as error:
            raise PtxError(f"cannot read stdin: {error.strerror}", "give subjects as words, or --file") from None
        except UnicodeDecodeError as error:
            raise PtxError(f"stdin is not UTF-8 ({error.reason})", "convert it, with iconv say") from None
    if not subjects:
        raise UsageError("no subjects", f'write them behind the options: ptx {name} ... "Anémone"')
    return subjects
