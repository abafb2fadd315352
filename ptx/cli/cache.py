"""`ptx cache`: list, show, verify and clean up artifacts."""

import json
from typing import Annotated

import typer

from ptx.cli.command import Command
from ptx.cli.options import Later, Reading, Removing, help_alone, later
from ptx.config.lists import listed, names_in
from ptx.errors import PtxError
from ptx.media import counted

cache_app = typer.Typer(help="Look after the cache of artifacts.", invoke_without_command=True, callback=help_alone)


@cache_app.command(cls=Later, epilog="Example:  ptx cache ls --stage search")
@later
def ls(
    common: Reading,
    stage: Annotated[str, typer.Option(help="Only this stage.")] = "",
    model: Annotated[str, typer.Option(help="Only with these models, as source or target, comma-separated.")] = "",
    task: Annotated[str, typer.Option("--task", "--tasks", help="Only of these tasks, comma-separated.")] = "",
    method: Annotated[str, typer.Option(help="Only by these methods, comma-separated.")] = "",
) -> None:
    """List artifacts, and how many bytes they are together."""
    from ptx.cache.housekeeping import listing
    from ptx.lms.names import named_in

    command = Command(common)
    people = not (common.json or common.quiet)
    rows = listing(
        command.store, stage, models=names_in(model), tasks=listed(task), methods=listed(method),
        names=named_in if people else None,
    )  # fmt: skip
    if people:
        for row in rows:
            row["created"] = row["created"][:16].replace("T", " ")
            del row["path"]
    command.out.rows(rows, path="path")
    command.out.message(f"{counted(len(rows), 'artifact')}, {megabytes(sum(row['bytes'] for row in rows))}")
    _name_remote(command)
    _name_foreign(command)


@cache_app.command(cls=Later, epilog="Example:  ptx cache rm KEY --with-dependents --dry-run")
@later
def rm(
    keys: Annotated[list[str], typer.Argument(help="Keys, or their beginnings.", metavar="KEY...", show_default=False)],
    common: Removing,
    with_dependents: Annotated[
        bool, typer.Option("--with-dependents", help="Also all that was made from them.")
    ] = False,
) -> None:
    """Remove artifacts; not one that others were made from, nor one that a running command may need."""
    from ptx.cache.remove import remove

    command = Command(common)
    watching = "watching for a minute whether runs of other machines are alive"
    paths, size = remove(
        command.store, keys, dependents=with_dependents, dry_run=common.dry_run,
        waiting=lambda: command.out.message(watching),
    )  # fmt: skip
    command.out.rows([{"path": str(path)} for path in paths], path="path")
    verb = "would remove" if common.dry_run else "removed"
    command.out.message(f"{verb} {counted(len(paths), 'artifact')}, {megabytes(size)}, of {command.store.root}")
    _name_remote(command)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


@cache_app.command(cls=Later, epilog="Example:  ptx cache show KEY")
@later
def show(
    key: Annotated[str, typer.Argument(help="A key, or its beginning.", show_default=False)], common: Reading
) -> None:
    """Print what an artifact's meta.json says: settings, parents, figures, origin."""
    command = Command(common)
    artifact = command.store.find(key)
    said = {"path": str(artifact.path), **artifact.meta}
    if common.quiet:
        command.out.data(said["path"])
    else:
        command.out.data(json.dumps(said, indent=None if common.json else 2, ensure_ascii=False))


@cache_app.command(cls=Later, epilog="Example:  ptx cache verify")
@later
def verify(common: Reading) -> None:
    """Check every artifact against its digests: damaged ones are named (exit 1)."""
    from ptx.cache.housekeeping import check

    command = Command(common)
    count, damaged = check(command.store)
    command.out.rows(damaged, path="path")
    _name_foreign(command)
    if damaged:
        raise PtxError(
            f"{len(damaged)} of {counted(count, 'artifact')} {'is' if len(damaged) == 1 else 'are'} damaged",
            "run `ptx cache gc` to remove them",
        )
    if common.json:
        command.out.json({"artifacts": count, "damaged": 0})
    command.out.message(f"{counted(count, 'artifact')}, all intact, in {command.store.root}")
    _name_remote(command)


@cache_app.command(cls=Later, epilog="Example:  ptx cache gc --older-than 30 --dry-run")
@later
def gc(
    common: Removing,
    older_than: Annotated[int | None, typer.Option(min=0, help="Also artifacts not used for this many days.")] = None,
    max_size: Annotated[
        str, typer.Option(help="Also the longest unused artifacts, until the rest has this size: 500MB, 2GB.")
    ] = "",
    stage: Annotated[
        str,
        typer.Option(
            help="Of these two, only artifacts of this stage. Tuned prompts go with 'tune' or 'portable' alone."
        ),
    ] = "",
) -> None:
    """Remove damaged entries, leftovers of interrupted runs, and artifacts of older versions of ptx.

    Nothing that a running command needs is removed, and no tuned prompt unless --stage tune or portable asks for it.
    """
    from ptx.cache.gc import Wanted, collect_garbage, parse_size
    from ptx.stages import versions

    command = Command(common)
    wanted = Wanted(older_than, parse_size(max_size), stage)
    watching = "watching for a minute whether runs of other machines are alive"
    found = collect_garbage(
        command.store, versions(), wanted, dry_run=common.dry_run, waiting=lambda: command.out.message(watching)
    )
    command.out.rows([{"path": str(path)} for path in found.paths], path="path")
    verb = "would remove" if common.dry_run else "removed"
    removed = f"{counted(len(found.paths), 'entry', 'entries')}, {megabytes(found.bytes)}"
    command.out.message(f"{verb} {removed}, of {command.store.root}")
    if found.in_use:
        command.out.message(f"kept {len(found.in_use)} that a running command may need")
    if found.prompts:
        command.out.message(
            f"kept {counted(len(found.prompts), 'tuned prompt')}; add --stage tune or portable to remove such"
        )
    if found.newer:
        command.out.message(f"kept {found.newer} of a newer version of ptx")
    if found.over:
        command.out.message(f"what is kept is {megabytes(found.over)} more than {max_size}")
    _name_remote(command)
    _name_foreign(command)


def _name_remote(command: Command) -> None:
    from ptx.cache.housekeeping import remarks

    for text in remarks(command.store):
        command.out.message(text)


def _name_foreign(command: Command) -> None:
    from ptx.cache.housekeeping import foreign

    if found := foreign(command.store):
        command.out.message(f"left alone, from another version of ptx: {', '.join(found)} in {command.store.root}")
