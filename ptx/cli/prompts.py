"""`ptx import`, `export`, `upgrade` and `inspect`: finished prompts, from and for anywhere."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.config import CommonConfig, ReadingConfig
from ptx.config.tune import Layout
from ptx.errors import UsageError

Readable = Literal["auto", "optiprompt", "npy", "torch", "safetensors", "peft", "koboldai", "words"]
Writable = Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai", "words"]
Kept = Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai"]  # with a card


def import_prompt(
    file: Annotated[
        str,
        typer.Argument(
            help="A prompt file, a PEFT adapter's folder, or hf:USER/NAME[@REVISION] of the hub. With {task} in it, as "
            "in prompts/{task}/prompt_vecs.npy, the files of all tasks of the suite that have one.",
            show_default=False,
        ),
    ],
    reading: ReadingConfig,
    common: Annotated[CommonConfig, ("cache_dir", "force", "dry_run", "list", *SAID)],
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
        bool, typer.Option("--unchecked", help="Even if it is of another model, task or data, or not alone.")
    ] = False,
) -> None:
    """Store a prompt from a file so that it can be encoded, searched with and evaluated like a tuned one."""
    from ptx.prompts.imported import import_steps
    from ptx.suites.asked import named

    command = Command(common)
    said = {"model": model, "suite": named(suite, reading), "layout": layout, "unchecked": unchecked}
    steps = list(import_steps(file, command.session.store, command.out, task=task, format=format, rows=rows, **said))
    command.session.keep_to(steps)
    command.finish(command.session.build("tune", steps))


def export(
    key: Annotated[
        str, typer.Argument(help="A tuned, transferred or imported prompt's key, or its beginning.", show_default=False)
    ],
    to: Annotated[Writable, typer.Option(help="What to write: a PEFT folder, or one file.", show_default=False)],
    common: Annotated[CommonConfig, ("cache_dir", "device", "dtype", "force", "dry_run", *SAID)],
    output: Annotated[Path | None, typer.Option(help="The file or folder to write.", show_default=False)] = None,
    push: Annotated[
        str,
        typer.Option(
            help="In place of --output: a repository of the hub, for --to peft, safetensors or words.",
            metavar="USER/NAME",
        ),
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="With --push: make it a private repository.")] = False,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            help="With --to vllm: write the whole input for this subject, the prompt in it; again for others."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="With --to vllm: such subjects from a file, one a line.")] = None,
) -> None:
    """Write a prompt for another program, with a card that says where it comes from, or upload it to the hub."""
    from ptx.suites.lines import subjects_of

    if (output is None) == (not push) or (private and not push):
        raise UsageError(
            "name an --output, or a repository with --push, which --private goes with", "choose one of them"
        )
    command = Command(common)
    subjects = [*(inputs or []), *(subjects_of(file) if file else [])]
    if push:
        row = _push(key, to, command, push, private=private)
        written = row["path"]
    else:
        assert output is not None
        row = command.session.export(key, to, output, inputs=subjects)
        written = str(output)
    if common.dry_run:
        command.out.message(f"would write {written}")
        return
    named = () if common.json else ("stage", "key")
    command.out.rows([{name: value for name, value in row.items() if name not in named}], path="path")


def _push(key: str, to: str, command: Command, repo: str, *, private: bool) -> dict[str, Any]:
    """Upload it; a row of where it is then."""
    from ptx.prompts import hub

    hub.check_repo(repo)
    if to not in hub.NAMES:
        raise UsageError(f"--push takes no --to {to}", f"use --to {', '.join(hub.NAMES)}")
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / hub.NAMES[to]
        row = command.session.export(key, to, where, repo=repo)
        address = f"https://huggingface.co/{repo}"
        if not command.common.dry_run:
            address = hub.push(repo, hub.files_of(where, repo), private=private, force=command.common.force)
        return {"stage": row["stage"], "key": row["key"], "path": address}


def upgrade(
    adapter: Annotated[
        str,
        typer.Argument(
            help="A PEFT adapter's folder, a prompt file or its card, or the key of a prompt in the cache.",
            show_default=False,
        ),
    ],
    to: Annotated[str, typer.Option(help="The model that it is to be for.", metavar="MODEL", show_default=False)],
    reading: ReadingConfig,
    common: CommonConfig,
    base: Annotated[
        str, typer.Option("--from", help="Its own model, or a copy of it, where the name in ADAPTER is of no use.")
    ] = "",
    task: Annotated[str, typer.Option("--task", "--tasks", help="The task it is for, if the file does not say.")] = "",
    suite: Annotated[
        str, typer.Option(help="The suite of that task: facts by default, none if nobody says what it is for.")
    ] = "",
    inputs: Annotated[
        str,
        typer.Option(
            help="Unlabelled inputs that both models answer: a file of subjects, one a line, or random shared 'words'; "
            "by default the subjects of the suite's 'train' facts, or words if there are none."
        ),
    ] = "",
    texts: Annotated[str, typer.Option(help="A file of texts that the prompt may be like, one a line.")] = "",
    candidates: Annotated[
        str, typer.Option(help="Methods to choose among, as for search; all, and first of them the prompt as it is.")
    ] = "",
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Then some steps on the target, on unlabelled inputs (distil).")
    ] = False,
    format: Annotated[
        Kept | None,
        typer.Option(help="What to write: peft where it can express the prompt, else safetensors.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file or folder to write, by default ADAPTER-for-MODEL.", show_default=False)
    ] = None,
    check: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Fail, and write nothing, if the accuracy to expect is below this (the agreement with the source, "
            "where the source's accuracy is not known).",
            show_default=False,
        ),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write it even if --check fails.")] = False,
) -> None:
    """Carry a prompt over to another model, a new version of its own say, with what is to be expected of it."""
    from ptx.config.search import SearchConfig
    from ptx.suites.asked import named

    command = Command(common)
    asked = SearchConfig(inputs=inputs, texts=texts, candidates=candidates)
    done = command.session.upgrade(
        adapter, to, asked, base=base, suite=named(suite, reading), task=task, gradients=gradients, to=format,
        output=output, check=check, anyway=anyway,
    )  # fmt: skip
    if common.dry_run:
        command.report(done.built)
    elif done.row:
        row = {name: value for name, value in done.row.items() if common.json or name not in ("stage", "key")}
        command.out.rows([row], path="path")
    if done.doubt is not None:
        raise done.doubt


def inspect(
    prompt: Annotated[
        str, typer.Argument(help="A key (of a tuning, search or evaluation), a path, or a prompt file.", metavar="KEY")
    ],
    common: Annotated[CommonConfig, ("cache_dir", "device", *SAID)],
    model: Annotated[
        str, typer.Option(help="The model of a prompt file, or where the model of an artifact is now.")
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="Words shown per vector.")] = 5,
) -> None:
    """Read a soft prompt: the words nearest to each vector, and for a transferred one before and after.

    Words are nearest by cosine, among those that are one token in each of the models shown.
    """
    from ptx.cli.inspection import show

    command = Command(common)
    report = command.session.inspect(prompt, model, top=top)
    if common.quiet:
        command.out.data(report.rows[0]["path"])
    elif common.json:
        command.out.rows(report.rows)
    else:
        show(report, command.out)
