"""Is everything in order here? Versions, devices, extras, the cache, and a small transfer that must come out right."""

import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any, Literal

from ptx.cache import Store, leases
from ptx.cache.housekeeping import foreign, size_of
from ptx.cache.locks import is_free
from ptx.cache.store import everything
from ptx.cache.verify import damage
from ptx.errors import PtxError, first_line
from ptx.media import counted, percent

SOME = 2.0  # seconds in which artifacts are looked at
PURPOSES = {
    "figures": "the paper's figures and plots of frames", "report": "figures in reports",
    "data": "suites from the hub (hf:NAME)", "tokenizers": "models without a tokenizer.json",
    "gguf": "models in GGUF files", "dev": "work on ptx itself",
}  # fmt: skip
LOSS, FACTS = 1e-6, 0.2  # what a prompt may lose that is carried over to its own model: Eq. 6 gives it another length


@dataclass(frozen=True)
class Finding:
    """What was looked at and how it is: fine, missing (an extra of which nothing else needs anything), or broken."""

    what: str
    state: Literal["ok", "missing", "broken"]
    how: str

    @property
    def row(self) -> dict[str, Any]:
        return vars(self)


def examined(store: Store, device: str) -> Iterator[Finding]:
    """All findings, one after the other. Nothing is raised, and nothing but a folder for temporary files is written."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        versions, extras, lambda: devices(device), lambda: cache(store), lambda: transfer(device),
    )  # fmt: skip
    for name, look in zip(("versions", "extras", "devices", "cache", "self-test"), looks, strict=True):
        try:
            yield from look()
        except Exception as error:  # whatever is wrong is what was looked for
            hint = f" ({error.hint})" if isinstance(error, PtxError) else ""
            yield Finding(name, "broken", first_line(error) + hint)


def versions() -> Iterator[Finding]:
    """ptx, Python, and what ptx cannot do without."""
    from ptx import __version__

    yield Finding("ptx", "ok", f"{__version__} in {Path(__file__).parent}, Python {platform.python_version()}")
    yield from (_installed(*wanted) for wanted in _wanted(""))


def extras() -> Iterator[Finding]:
    """What a user may want besides; what is missing with how to get it."""
    for extra in metadata("ptx-prompts").get_all("Provides-Extra") or ():
        every = [_installed(*wanted) for wanted in dict.fromkeys(_wanted(extra))]
        if lacking := [one.what for one in every if one.state != "ok"]:
            why = f"for {PURPOSES[extra]}: " if extra in PURPOSES else ""
            yield Finding(f"extra {extra}", "missing", f"{why}pip install {' '.join(lacking)}")
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(f"{one.what} {one.how}" for one in every))


def _wanted(extra: str) -> Iterator[tuple[str, str]]:
    """Name and specifier of the packages that are needed, or that an extra needs besides."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires("ptx-prompts") or ()):
        marked = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        if marked != bool(extra) or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        if requirement.name == "ptx-prompts":
            for inner in sorted(requirement.extras):
                yield from _wanted(inner)
        else:
            yield requirement.name, str(requirement.specifier)


def _installed(name: str, specifier: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, "broken", f"not installed: pip install '{name}{specifier}'")
    if not SpecifierSet(specifier).contains(found, prereleases=True):
        return Finding(name, "broken", f"{found} is installed: pip install '{name}{specifier}'")
    return Finding(name, "ok", found)


def devices(device: str) -> Iterator[Finding]:
    """Where things are computed, and where they could be."""
    import torch

    from ptx.lms.embeddings import place

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("cpu", "ok", f"{counted(cores, 'core')}, {counted(torch.get_num_threads(), 'thread')}")
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        yield Finding(f"cuda:{number}", "ok", f"{about.name}, {about.total_memory / 1e9:.0f} GB")
    if torch.backends.mps.is_available():
        yield Finding("mps", "ok", "--device mps")
    (torch.ones(2, 2, device=place(device)) @ torch.ones(2, 2, device=place(device))).cpu()
    yield Finding("device", "ok", f"{device} is {place(device)}")


def cache(store: Store) -> Iterator[Finding]:
    """Its size, as many of its artifacts as can be checked in a moment, and who is at work in it."""
    folders = everything(store)
    counts = Counter(folder.parent.name for folder in folders)
    said = ", ".join(f"{count} {stage}" for stage, count in counts.items()) or "empty"
    yield Finding("cache", "ok", f"{store.root}: {said}; {size_of(store.root) / 1e6:.1f} MB")
    if not os.access(_first_that_exists(store.root), os.W_OK):
        yield Finding("writing", "broken", f"{store.root} cannot be written: choose another --cache-dir")
    began, looked, damaged = time.monotonic(), 0, list[str]()
    for folder in folders[:: max(1, len(folders) // 200)]:  # from all stages
        if time.monotonic() - began > SOME:
            break
        looked += 1
        if problem := damage(folder):
            damaged.append(f"{folder}: {problem}")
    if damaged:
        yield Finding("artifacts", "broken", f"{len(damaged)} of {looked} damaged: {damaged[0]}; `ptx cache gc`")
    else:
        yield Finding("artifacts", "ok", f"{looked} of {len(folders)} checked, all intact")
    if others := foreign(store):
        yield Finding("other versions", "ok", f"left alone: {', '.join(others)}")
    busy = [path.stem for path in sorted(store.root.glob("locks/*.lock")) if not is_free(path)]
    runs = [path for path in sorted(store.root.glob("runs/[!.]*")) if leases.may_live(path, True)]
    locks = f"; locked: {', '.join(busy)}" if busy else ""
    yield Finding("runs", "ok", f"{len(runs)} at work in it{locks}")


def _first_that_exists(path: Path) -> Path:
    return path if path.exists() else _first_that_exists(path.absolute().parent)


def transfer(device: str) -> Iterator[Finding]:
    """A prompt of an embedded model, carried over to that model itself, is what it was: tuning, encoding, the exact
    search and scoring at once, in a cache of its own."""
    from ptx.config import AnchorsConfig, CommonConfig, EncodeConfig, EvalConfig, SuiteConfig  # fmt: skip
    from ptx.config.search import SearchConfig  # fmt: skip
    from ptx.config.tune import TuneConfig  # fmt: skip
    from ptx.engine.workers import Quiet
    from ptx.session import Session

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        common = CommonConfig(cache_dir=folder, device=device, quiet=True)
        session = Session(
            common, Quiet(), SuiteConfig(tasks="P30", limit=32),
            tune=TuneConfig(epochs=1, patience=0),
            anchors=AnchorsConfig(), encode=EncodeConfig(top_k="all"), search=SearchConfig(),
            eval=EvalConfig(),
        )  # fmt: skip
        scores = {}
        for method, sources in (("tuned", ()), ("relative", ("bert-micro",))):
            built = session.eval("bert-micro", sources, method, "", "")
            if built.errors:
                raise built.errors[0]
            scores[method] = built.done[0].meta["metrics"]
    loss, seconds = scores["relative"]["search_loss"], time.monotonic() - began
    before, after = (scores[method]["accuracy"] for method in ("tuned", "relative"))
    same = loss < LOSS and after > before - FACTS and before > scores["tuned"]["floor"]
    how = f"a prompt has P@1 {percent(before)} %, carried over to its own model {percent(after)} %"
    how += f" (matching loss {abs(loss):.1g})"
    yield Finding("self-test", "ok" if same else "broken", f"{how}, in {seconds:.1f} s")
