"""`ptx import`, `export`, `upgrade`, `inspect` and `predict`: finished prompts, from and for anywhere."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.cli.transfer import Anchors, PromptOption, Target
from ptx.config import CommonConfig, Layout, ReadingConfig
from ptx.errors import PtxError, UsageError

Readable = Literal["auto", "optiprompt", "npy", "torch", "safetensors", "peft", "koboldai", "words"]
Writable = Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai", "words"]
Kept = Literal["peft", "optiprompt", "npy", "safetensors", "vllm", "koboldai"]  # with a card


def import_prompt(
    file: Annotated[
        str,
        typer.Argument(
            help="A prompt file, or a PEFT adapter's folder. With {task} in it, as in prompts/{task}/prompt_vecs.npy, "
            "the files of all tasks of the suite that have one.",
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
    steps = list(import_steps(file, command.out, task=task, format=format, rows=rows, **said))
    command.session.keep_to(steps)
    command.finish(command.session.build("tune", steps))


def export(
    key: Annotated[
        str, typer.Argument(help="A tuned, transferred or imported prompt's key, or its beginning.", show_default=False)
    ],
    to: Annotated[Writable, typer.Option(help="What to write: a PEFT folder, or one file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="The file or folder to write.", show_default=False)],
    common: Annotated[CommonConfig, ("cache_dir", "device", "dtype", "force", "dry_run", *SAID)],
) -> None:
    """Write a prompt for another program, with a card that says where it comes from."""
    from ptx.formats import card
    from ptx.prompts.export import export_prompt

    command = Command(common)
    if to == "words":
        _export_words(key, output, command)
        return
    artifact = command.store.find(key, ("tune", "search"))
    made = export_prompt(artifact, command.store, to, output, force=common.force, dry_run=common.dry_run)
    if to == "peft" and len(made.opening):
        tokens = f"the first of the {len(made.opening) + len(made.prompt)} virtual tokens"
        inputs = f"what inputs of {made.model.name} begin with"
        command.out.message(f"{tokens} is {inputs}: give PEFT texts without special tokens, as the card shows")
    if common.dry_run:
        command.out.message(f"would write {output}")
        return
    head = {"stage": artifact.meta["stage"], "key": artifact.key} if common.json else {}
    where = {"path": str(output.absolute()), "card": str(card.beside(output).absolute())}
    command.out.rows([{**head, **where, "format": to}], path="path")


def _export_words(key: str, output: Path, command: Command) -> None:
    from ptx.config.dtypes import FLOAT32
    from ptx.prompts.as_words import export_words
    from ptx.prompts.record import model_of
    from ptx.stages import portable

    artifact = command.store.find(key, ("tune", "search", portable.STAGE.name))
    common, dtype = command.common, FLOAT32
    if artifact.meta["stage"] != portable.STAGE.name:
        dtype = command.session.settings.computed(model_of(artifact), "source").get("dtype", FLOAT32)
    made = export_words(
        artifact, command.store, output, force=common.force, dry_run=common.dry_run, device=common.device, dtype=dtype
    )
    command.out.message(str(made))
    if common.dry_run:
        command.out.message(f"would write {output}")
        return
    head = {"stage": artifact.meta["stage"], "key": artifact.key} if common.json else {}
    figures = {} if made.before is None else {"dev_accuracy": made.before, "as_words": made.after}
    command.out.rows([{**head, "path": str(output.absolute()), "format": "words", **figures}], path="path")


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
    from ptx.config import SearchConfig
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


def predict(
    target: Target,
    prompt: PromptOption,
    common: Annotated[CommonConfig, ("cache_dir", "device", "dtype", *SAID)],
    texts: Annotated[list[str] | None, typer.Argument(help="Subjects; without any, one a line from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read subjects from a file, one a line.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Answers per subject.")] = 5,
    layout: Annotated[Layout | None, typer.Option(help="The layout of a prompt file that does not say it.")] = None,
    anchors: Anchors = "",
) -> None:
    """The target's likeliest answers for subjects of your own, with a prompt from the cache or a file."""
    from ptx.suites.lines import subjects_of

    command = Command(common)
    subjects = [*(texts or []), *(subjects_of(file) if file else [])]
    if not subjects or subjects == ["-"]:
        try:
            subjects = [line.strip() for line in sys.stdin if line.strip()]
        except OSError as error:
            raise PtxError(f"cannot read stdin: {error.strerror}", "give subjects as words, or --file") from None
        except UnicodeDecodeError as error:
            raise PtxError(f"stdin is not UTF-8 ({error.reason})", "convert it, with iconv say") from None
    if not subjects:
        raise UsageError("no subjects", 'write them behind the options: ptx predict ... "Anémone"')
    command.out.rows(command.session.predict(target, prompt, subjects, top=top, layout=layout, anchors=anchors))
