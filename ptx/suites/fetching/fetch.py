"""Fetch a published archive of data: download, verify, unpack, and let the folder appear by rename.

No publisher of these archives names a checksum, so the first download cannot be verified; its SHA-256 is kept in
`<folder>.lock.json`, and every later one must match it (or `--sha256`, which the user has from elsewhere). The digests
of its files are there too: `--force` replaces these, and nothing that somebody added or changed.
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ptx.cache import file_digest
from ptx.errors import PtxError
from ptx.files import put_folder, write_whole
from ptx.suites.fetching.archive import unpack
from ptx.suites.fetching.download import Progress, download

Bar = Callable[[str], AbstractContextManager[Progress]]  # shows the progress of a download, given its address
OPTIPROMPT = "9450bc96f28ac3df01337c79be079a2ac3defb5c"  # its last commit, of October 2022
SOURCES = {
    # LAMA (Petroni et al. 2019): test facts in TREx/P17.jsonl and so on, templates in relations.jsonl.
    "lama": "https://dl.fbaipublicfiles.com/LAMA/data.zip",
    # OptiPrompt (Zhong et al. 2021): LAMA-TREx, its UHN, easy and hard parts, and AutoPrompt's train and dev facts.
    "optiprompt": "https://nlp.cs.princeton.edu/projects/optiprompt/data.tar.gz",
    # What is beside its code: LAMA's templates in relation_metainfo/, lists of words in common_vocabs/.
    "optiprompt-lists": f"https://github.com/princeton-nlp/OptiPrompt/archive/{OPTIPROMPT}.tar.gz",
}


@dataclass(frozen=True)
class Fetched:
    """What is in `folder` now. `known` says whether the digest was compared with one from before, or from the user."""

    folder: Path
    sha256: str
    bytes: int
    reused: bool
    known: bool


def fetch(source: str, folder: Path, *, sha256: str, force: bool, bar: Bar) -> Fetched:
    """The archive at `source` (an address or a file) unpacked as `folder`.

    A folder fetched before is left alone without `force`. Raises PtxError for a folder that is not ours, or holds other
    files than ours, a failed download, a digest that differs, and an archive that cannot be unpacked safely.
    """
    folder = folder.absolute()
    record = folder.with_name(f"{folder.name}.lock.json")
    before = _read_record(record)
    wanted = sha256.strip().lower()
    if wanted and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise PtxError(f"--sha256 {sha256[:80]!r} is no SHA-256 digest", "it has 64 hexadecimal digits")
    for path in (folder, record):
        if os.path.lexists(path) and not before:
            raise PtxError(f"{path} exists, and ptx did not fetch it", "choose another folder with --output")
    if folder.exists() and not force:
        if wanted not in ("", before["sha256"]):
            raise PtxError(f"{folder} was fetched with the SHA-256 {before['sha256']}", "add --force to fetch it again")
        return Fetched(folder, before["sha256"], before["bytes"], reused=True, known=True)
    _refuse_foreign(folder, before)
    local = Path(source).expanduser()
    with _alone(folder):
        if "://" in source:
            archive = folder.with_name(f".{folder.name}.ptx-download")
            with bar(source) as progress:
                download(source, archive, progress)
        elif local.is_file():
            archive = local
        else:
            raise PtxError(f"no file {source}", "--from takes an address (https://...) or the path of an archive")
        try:
            found, size = file_digest(archive), archive.stat().st_size
            expected = wanted or (before.get("sha256", "") if before.get("source") == source else "")
            if expected and found != expected:
                whose = "--sha256" if wanted else f"the one fetched before ({record})"
                hint = "the archive was changed or damaged; if you trust it, add --sha256 with its digest"
                raise PtxError(f"{source} has the SHA-256 {found}, not that of {whose}, {expected}", hint)
            files = _place(archive, folder)
        finally:
            if archive != local:
                archive.unlink(missing_ok=True)
        kept = {"source": source, "sha256": found, "bytes": size, "files": files}
        write_whole(record, (json.dumps(kept, indent=2) + "\n").encode())
    return Fetched(folder, found, size, reused=False, known=bool(expected))


def _refuse_foreign(folder: Path, record: dict[str, Any]) -> None:
    """Raise PtxError for files in a folder that are not as they were fetched. Records of before have no list of files:
    then nobody knows."""
    if os.path.lexists(folder):
        ours, there = record.get("files"), _digests(folder)
        known = ours if isinstance(ours, dict) else {}
        if others := sorted(name for name, found in there.items() if known.get(name) != found):
            what = f"{folder} holds what ptx did not fetch, or what was changed since: {', '.join(others[:3])}"
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            raise PtxError(what + more, "move or remove it, or choose another folder with --output")


def _digests(folder: Path) -> dict[str, str]:
    """Of every file below a folder, of whatever kind; an archive has no links."""
    if folder.is_symlink():
        return {folder.name: "a link"}
    below = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: file_digest(path) if path.is_file() and not path.is_symlink() else "no file"
        for name, path in below.items()
        if path.is_symlink() or not path.is_dir()
    }


def _place(archive: Path, folder: Path) -> dict[str, str]:
    """Unpack beside the folder, then take its place; the digests of its files. An archive's only top folder is left
    out."""
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        unpack(archive, partial)
        inside = list(partial.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else partial
        if not inside:
            raise PtxError(f"{archive} is empty", "check what it should hold")
        files = _digests(whole)
        put_folder(whole, folder)
        return files
    except OSError as error:
        raise PtxError(f"cannot write {folder}: {error.strerror}", "choose another --output") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two processes must not write the same partial file."""
    path = folder.with_name(f".{folder.name}.fetching")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except Timeout:
        raise PtxError(f"another ptx is fetching {folder}", "wait for it, or choose another --output") from None
    except OSError as error:
        raise PtxError(f"cannot write beside {folder}: {error.strerror}", "choose another --output") from None


def _read_record(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found["sha256"], str) and isinstance(found["bytes"], int):
            return found
    return {}
