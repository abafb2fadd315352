"""`ptx data`: check a suite before anything runs, and fetch published data."""

from pathlib import Path
from typing import Annotated

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID, Later, Printing, help_alone, later
from ptx.config import CommonConfig, ReadingConfig
from ptx.config.lists import names_in
from ptx.errors import PtxError
from ptx.media import counted

data_app = typer.Typer(
    help="Check a suite before anything runs, and fetch published data.",
    invoke_without_command=True,
    callback=help_alone,
)
MOST = 20  # files that a remark names, without -v


@data_app.command(cls=Later, epilog="Example:  ptx data check lama/TREx --models bert-base,roberta-base")
@later
def check(
    suite: Annotated[str, typer.Argument(help="A suite, as --suite takes it: a folder, a file, hf:NAME, ...")],
    reading: ReadingConfig,
    common: Printing,
    models: Annotated[
        str, typer.Option(help="Models, comma-separated, whose words objects must be; the zoo's masked LMs by default.")
    ] = "",
    anchors: Annotated[Path | None, typer.Option(help="A file of words that objects must be among.")] = None,
    keep_words: Annotated[bool, typer.Option("--keep-words", help="As the other commands have it.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any fact would be dropped.")] = False,
) -> None:
    """Say what would be used of a suite and what dropped, and why. Exit 1 if a line cannot be read."""
    from ptx.stages.anchors import allowed_words
    from ptx.suites import read_suite, together
    from ptx.suites.asked import named
    from ptx.suites.check import examine, summary
    from ptx.suites.lines import Problems, words_of

    command = Command(common)
    out = command.out
    problems = Problems()
    suite = named(suite, reading)
    try:
        found = read_suite(suite, problems.add)
    except PtxError as error:
        problems.add(error)
        raise problems.together(suite) from None
    allowed, whose = allowed_words(names_in(models), words_of(anchors) if anchors else [], keep=keep_words)
    remarks = together(found.remarks, MOST if not common.verbose else len(found.remarks))
    for text in [] if common.json else remarks:
        out.warn(text)
    rows = list(examine(found, allowed))
    for name, label in [(task.name, word) for task in found.tasks for word in task.labels if word not in allowed]:
        hint = "choose another word for this label in the suite's file"
        problems.add(PtxError(f"task {name}: the label word {label!r} is not one word of all models", hint))
    out.rows(rows if common.json else summary(rows))
    if common.json:
        out.rows([{"remark": remark.what, "where": remark.where} for remark in found.remarks])
        out.rows([{"error": one.message, "hint": one.hint} for one in problems.first])
    else:
        for one in problems.first:
            out.warn(one.message)
        _explain(command, rows)
    used, dropped = (sum(row[name] for row in rows) for name in ("used", "dropped"))
    out.message(
        f"{counted(len(found.tasks), 'task')}, {counted(used, 'fact')} used, {dropped} dropped; words shared by {whose}"
    )
    if problems.count:
        raise PtxError(f"{suite}: {counted(problems.count, 'problem')}", problems.first[0].hint)
    if strict and dropped:
        raise PtxError(f"{suite}: {counted(dropped, 'fact')} would be dropped", "leave out --strict to accept that")


def _explain(command: Command, rows: list[dict]) -> None:  # type: ignore[type-arg]
    """Examples of what is dropped or known to tuning; all of them with -v, else of a few tasks."""
    lines = []
    for row in rows:
        for name, count, reason in (
            ("dropped_objects", "dropped", "dropped, since the object is not one shared word"),
            ("in_train_facts", "in_train", "used, though also in train"),
        ):
            if row[name]:
                named = ", ".join(f"{e['value']!r} ({e['count']}, {e['where']})" for e in row[name])
                lines.append(f"{row['task']} {row['split']}: {counted(row[count], 'fact')} {reason}: {named}")
    most = len(lines) if command.common.verbose else 10
    for line in lines[:most]:
        command.out.message(line)
    if len(lines) > most:
        command.out.message(f"... and {len(lines) - most} more; -v shows them, --json has all")


@data_app.command(cls=Later, epilog="Example:  ptx data fetch lama && ptx data check lama/TREx")
@later
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="lama, optiprompt (LAMA, its parts, and train facts), or optiprompt-lists (templates, words)."
        ),
    ],
    common: Annotated[CommonConfig, ("force", "dry_run", *SAID)],
    source: Annotated[
        str, typer.Option("--from", help="Another address of the archive, or a file that you have.", show_default=False)
    ] = "",
    output: Annotated[Path | None, typer.Option(help="The folder to make; by default the name, here.")] = None,
    sha256: Annotated[str, typer.Option(help="What the archive's digest must be.", show_default=False)] = "",
) -> None:
    """Download a published archive, verify it and unpack it; go on where an interrupted download stopped."""
    from ptx.suites.fetching.fetch import SOURCES
    from ptx.suites.fetching.fetch import fetch as fetch_archive
    from ptx.suites.lama import suites_in

    if name not in SOURCES:
        raise PtxError(f"nothing is known of data called {name!r}", f"use {', '.join(SOURCES)}, with --from for a copy")
    command = Command(common)
    folder = output or Path(name)
    address = source or SOURCES[name]
    if common.dry_run:
        command.out.rows([{"folder": str(folder), "from": address}])
        return
    found = fetch_archive(address, folder, sha256=sha256, force=common.force, bar=command.out.download)
    head = {"sha256": found.sha256, "bytes": found.bytes, "reused": found.reused} if common.json else {}
    rows = [{"suite": str(folder / path.relative_to(found.folder)), "tasks": n} | head
            for path, n in suites_in(found.folder)]  # fmt: skip
    command.out.rows(rows or [{"folder": str(found.folder)} | head])
    if found.reused:
        command.out.message(f"{folder} was fetched before; --force fetches it again")
        return
    command.out.message(f"unpacked {found.bytes / 1e6:.1f} MB into {folder}; SHA-256 {found.sha256}")
    if not found.known:
        command.out.message(
            f"its publisher names no checksum: this one is in {folder}.lock.json now, and later downloads must match it"
        )
