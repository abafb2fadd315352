"""`ptx import` and `ptx export`: prompts from and for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from ptx.config import CommonConfig, Layout
from ptx.errors import PtxError, UsageError
from ptx.options import expand

EACH_TASK = "{task}"

Readable = Literal["auto", "optiprompt", "npy", "torch", "safetensors", "peft", "koboldai"]
Writable = Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai"]


def add_prompt_commands(app: typer.Typer) -> None:
    app.command("import", epilog="Example:  ptx import prompt_vecs.npy --model bert-base --task P17")(import_prompt)
    app.command("export", epilog="Example:  ptx export KEY --to peft --output adapter")(export)


@expand
def import_prompt(
    file: Annotated[
        str,
        typer.Argument(
            help="A prompt file, or a PEFT adapter's folder. With {task} in it, as in prompts/{task}/prompt_vecs.npy, "
            "the files of all tasks of the suite that have one.",
            show_default=False,
        ),
    ],
    common: CommonConfig,
    model: Annotated[str, typer.Option(help="The model it was tuned on, if the file does not say.")] = "",
    task: Annotated[str, typer.Option(help="The task it is for, if the file does not say.")] = "",
    suite: Annotated[str, typer.Option(help="The suite of that task; facts by default.")] = "",
    layout: Annotated[
        Layout | None,
        typer.Option(help="Where it stands; by default as its format or card says, else postfix.", show_default=False),
    ] = None,
    format: Annotated[
        Readable,
        typer.Option(help="What the file is; torch is thunlp's and OpenPrompt's. Its content says so if auto."),
    ] = "auto",
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="The first N rows are the prompt: all, but 5 of OptiPrompt's 10.", show_default=False),
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Even if the file or its card is of another model, task or data.")
    ] = False,
) -> None:
    """Store a prompt from a file so that it can be encoded, searched with and evaluated like a tuned one."""
    from ptx import formats, imports
    from ptx.commands import Command

    command = Command(common)
    steps = []
    for name, path in _files(file, task, suite or "facts"):
        found = formats.read(path, format=format, rows=rows)
        said = imports.origin(found, model=model, suite=suite, task=name, layout=layout, unchecked=unchecked)
        steps.append(imports.import_step(found, said))
        command.out.message(f"{found}; layout {said.layout}")
    command.keep_to(steps)
    command.run("import", steps, force="tune")


def _files(file: str, task: str, suite: str) -> Iterator[tuple[str, Path]]:
    """Task and file; for a path with {task}, of all tasks whose file exists."""
    if EACH_TASK not in file or Path(file).exists():
        yield task, Path(file)
        return
    from ptx.suites import load_suite

    if task:
        raise UsageError(f"{EACH_TASK} in {file} stands for every task", "leave --task out, or name one file")
    found = [
        (t.name, path) for t in load_suite(suite).tasks if (path := Path(file.replace(EACH_TASK, t.name))).exists()
    ]
    if not found:
        raise PtxError(f"no file {file} for any task of the suite {suite}", "check the path, or name another --suite")
    yield from found


@expand
def export(
    key: Annotated[
        str, typer.Argument(help="A tuned, transferred or imported prompt's key, or its beginning.", show_default=False)
    ],
    to: Annotated[Writable, typer.Option(help="What to write: a PEFT folder, or one file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="The file or folder to write.", show_default=False)],
    common: CommonConfig,
) -> None:
    """Write a prompt for another program, with a card that says where it comes from."""
    from ptx.commands import Command
    from ptx.exports import export_prompt
    from ptx.formats import card
    from ptx.reporting import report

    command = Command(common)
    artifact = command.store.find(key, ("tune", "search"))
    made = export_prompt(artifact, command.store, to, output, force=common.force, dry_run=common.dry_run)
    if to == "peft" and len(made.opening):
        command.out.message(
            f"the first of the {len(made.opening) + len(made.prompt)} virtual tokens is what inputs of "
            f"{made.model.name} begin with: give PEFT texts without special tokens, as the card shows"
        )
    if common.dry_run:
        command.out.message(f"would write {output}")
        return
    line = {"path": str(output.absolute()), "card": str(card.beside(output).absolute()), "format": to}
    if common.json:
        command.out.json({"stage": artifact.meta["stage"], "key": artifact.key, **line})
    else:
        report(command.out, [line], path="path")
