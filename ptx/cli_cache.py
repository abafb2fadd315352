"""`ptx cache`: list, show, verify and clean up artifacts."""

from __future__ import annotations

from typing import Annotated

import typer

from ptx.config import CommonConfig
from ptx.errors import PtxError
from ptx.options import expand

cache_app = typer.Typer(help="Look after the cache of artifacts.", no_args_is_help=True)


@cache_app.command(epilog="Example:  ptx cache ls --stage search")
@expand
def ls(common: CommonConfig, stage: Annotated[str, typer.Option(help="Only this stage.")] = "") -> None:
    """List artifacts."""
    from ptx.commands import Command
    from ptx.housekeeping import listing
    from ptx.reporting import report

    command = Command(common)
    report(command.out, listing(command.store, stage), path="path")


@cache_app.command(epilog="Example:  ptx cache show KEY")
@expand
def show(
    key: Annotated[str, typer.Argument(help="A key, or its beginning.", show_default=False)],
    common: CommonConfig,
) -> None:
    """Print what an artifact's meta.json says: settings, parents, figures, origin."""
    import json

    from ptx.commands import Command

    command = Command(common)
    artifact = command.store.find(key)
    if common.quiet:
        command.out.data(str(artifact.path))
    elif common.json:
        command.out.json({"path": str(artifact.path), **artifact.meta})
    else:
        command.out.data(json.dumps({"path": str(artifact.path), **artifact.meta}, indent=2, ensure_ascii=False))


@cache_app.command(epilog="Example:  ptx cache verify")
@expand
def verify(common: CommonConfig) -> None:
    """Check every artifact against its digests: damaged ones are named (exit 1)."""
    from ptx.commands import Command
    from ptx.housekeeping import check
    from ptx.reporting import report

    command = Command(common)
    count, damaged = check(command.store)
    report(command.out, damaged, path="path")
    if damaged:
        raise PtxError(f"{len(damaged)} of {count} artifacts are damaged", "run `ptx cache gc` to remove them")
    if common.json:
        command.out.json({"artifacts": count, "damaged": 0})
    command.out.message(f"{count} artifacts, all intact, in {command.store.root}")


@cache_app.command(epilog="Example:  ptx cache gc --older-than 30 --dry-run")
@expand
def gc(
    common: CommonConfig,
    older_than: Annotated[int | None, typer.Option(min=0, help="Also artifacts made more than this many days ago.")]
    = None,
) -> None:  # fmt: skip
    """Remove damaged entries, leftovers of interrupted runs, and artifacts of superseded versions of ptx."""
    from ptx.commands import Command
    from ptx.housekeeping import collect_garbage
    from ptx.reporting import report

    command = Command(common)
    removed, size = collect_garbage(command.store, older_than=older_than, dry_run=common.dry_run)
    report(command.out, [{"path": str(path)} for path in removed], path="path")
    verb = "would remove" if common.dry_run else "removed"
    command.out.message(f"{verb} {len(removed)} entries, {size / 1e6:.1f} MB, of {command.store.root}")
