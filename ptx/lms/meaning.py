"""What a model's name means at this moment, for whoever looks at results: nothing is fetched, dequantised or loaded."""

from collections.abc import Iterable, Sequence

from ptx.errors import PtxError
from ptx.lms import gguf, hub
from ptx.lms.known import zoo
from ptx.lms.models import of_commit, resolve
from ptx.lms.names import shown
from ptx.lms.places import hub_id, is_folder, local_gguf, located, pinned


def meaning(name: str) -> str | None:
    """The digest of the model that commands would take a name for now, None if that is nothing on this machine: of a
    name of the hub what the hub's local cache has."""
    try:
        name = located(name)
        if file := local_gguf(name):
            return gguf.key_of(file)
        if name in zoo() or is_folder(name):
            return resolve(name).digest
    except (PtxError, OSError):
        return None
    whole, file_name = gguf.parts(name)
    named, revision = pinned(whole or name)
    repo = hub_id(named)
    snapshot = hub.cached_snapshot(repo, revision) if repo else None
    if repo is None or snapshot is None:
        return None
    if not file_name:
        return of_commit(repo, snapshot.name)[0]
    return gguf.key_of(snapshot / file_name) if (snapshot / file_name).is_file() else None


def among(name: str, others: Sequence[str]) -> bool:
    """Whether a model is one of some others, by its name or by its files."""
    return name in others or ((own := meaning(name)) is not None and own in map(meaning, others))


def same(names: Iterable[str]) -> list[str]:
    """What to say of those among several names that mean one model."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if (own := meaning(name)) is not None:
            found.setdefault(own, []).append(name)
    names = shown(name for alike in found.values() for name in alike)
    several = [[names[name] for name in alike] for alike in found.values() if len(alike) > 1]
    return [f"{' and '.join(alike)} are one model, by equal files" for alike in several]
