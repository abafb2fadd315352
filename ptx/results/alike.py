"""Which results may stand in one table: those that no setting tells apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ptx.cache import Store
from ptx.results.behind import behind, own_settings, spelled
from ptx.results.collect import LACKED, Result

Settings = Mapping[str, Any]
Names = frozenset[str]
Group = tuple[Settings, Sequence[Result]]  # a table's settings and results


def grouped(results: Sequence[Result], warn: Callable[[str], None], store: Store | None = None) -> list[Group]:
    """Results by table. One that lacks a setting (manual prompts have no learning rate) is with all that it does not
    contradict. The `store` that they are from tells how they were made, where nothing else tells them apart."""
    results = apart(results, warn, store)
    named = [spelled(result.settings) for result in results]
    tables = Tables()
    done: set[str] = set()  # settings that would change nothing if they came again, as those of every task do
    order = sorted(zip(results, named, strict=True), key=lambda of: (-len(of[0].settings), of[0].artifact.key))
    for own, name in ((result.settings, name) for result, name in order):
        if name in done:
            continue
        if tables.take(own):
            done.clear()
        done.add(name)
    unique = Tables({spelled(settings): settings for settings in tables.every}.values())
    groups: list[list[Result]] = [[] for _ in unique.every]
    distinct = {name: result.settings for result, name in zip(results, named, strict=True)}
    places = {name: unique.agreeing(settings) for name, settings in distinct.items()}
    for result, name in zip(results, named, strict=True):
        for place in places[name]:
            groups[place].append(result)
    return [*zip(unique.every, groups, strict=True)]


def apart(results: Sequence[Result], warn: Callable[[str], None], store: Store | None) -> list[Result]:
    """Of results that say the same of the same names, but are of other content, each with a number of its own as a
    setting that keeps them in tables of their own: by how the artifacts behind them were made (what `auto` chose among
    has settings that are not its own), which is the same for every task, then by date (another file of texts, inputs or
    vectors was read)."""
    alike: dict[str, dict[str, Result]] = {}  # by artifact: sources may have been named in two orders
    for result in _filled(results):
        labels = {name: value for name, value in result.labels.items() if name not in ("sources", "weights")}
        identity = spelled([labels, result.place, result.settings])
        alike.setdefault(identity, {}).setdefault(result.artifact.key, result)
    if count := sum(len(of) for of in alike.values() if len(of) > 1):
        what = "results have the same names and settings and differ in a file that was read"
        warn(f"{count} {what}: they are shown apart")
    found: list[Result] = []
    made = _made(store)
    for of in alike.values():
        if len(of) == 1:
            found += of.values()
            continue
        ordered = sorted(of.values(), key=made)
        found += [replace(r, settings={**r.settings, "version": n}) for n, r in enumerate(ordered, start=1)]
    return found


def _filled(results: Sequence[Result]) -> list[Result]:
    """Results of which none lacks a setting that others of its method have: made before there was that setting, or
    without it, it is another result, and no table may have the mean of both."""
    names: dict[str, dict[str, None]] = {}
    for result in results:
        names.setdefault(result.method, {}).update(dict.fromkeys(result.settings))
    lacked = [dict.fromkeys(names[result.method].keys() - result.settings.keys(), LACKED) for result in results]
    return [
        replace(result, settings={**result.settings, **of}) if of else result
        for result, of in zip(results, lacked, strict=True)
    ]


def _made(store: Store | None) -> Callable[[Result], Any]:
    """How a result was made, to be ordered by: the settings of its artifact and of all that this was made of, without
    those of its task; then when. Nothing of what is gone."""

    def made(result: Result) -> Any:
        meta = result.artifact.meta
        settings = {own_settings(meta), *behind(meta, store).settings} if store else ()
        return sorted(settings), meta["created"], result.artifact.key

    return made


class Tables:
    """Settings of tables, of which those are quickly found that agree with others: that contradict them in nothing."""

    def __init__(self, every: Iterable[Settings] = ()) -> None:
        self.every: list[Settings] = []
        # Which of them they are, by the names that they have, some of these, and what those are. All names are there.
        self._places: dict[Names, dict[Names, dict[Any, set[int]]]] = {}
        for settings in every:
            self._put(len(self.every), settings)

    def agreeing(self, own: Settings) -> list[int]:
        """Which of them agree with `own` in all that both have."""
        found: list[int] = []
        for names, by in self._places.items():
            shared = names.intersection(own)
            if shared not in by:
                by[shared] = {}
                for place in itertools.chain.from_iterable(by[names].values()):
                    by[shared].setdefault(_values(self.every[place], shared), set()).add(place)
            found += by[shared].get(_values(own, shared), ())
        return sorted(found)

    def take(self, own: Settings) -> bool:
        """Add `own` to all that agree with it, else as one more; whether that changed anything."""
        found = self.agreeing(own)
        larger = [place for place in found if own.keys() - self.every[place].keys()]
        for place in larger:
            self._put(place, {**self.every[place], **own})
        if not found:
            self._put(len(self.every), own)
        return bool(larger or not found)

    def _put(self, place: int, settings: Settings) -> None:
        if place < len(self.every):
            before = self.every[place]
            for shared, by in self._places[frozenset(before)].items():
                by[_values(before, shared)].remove(place)
        self.every[place : place + 1] = [settings]
        names = frozenset(settings)
        for shared, by in self._places.setdefault(names, {names: {}}).items():
            by.setdefault(_values(settings, shared), set()).add(place)


def _values(settings: Settings, names: Names) -> Any:
    """What can be looked up: lists cannot."""
    return frozenset((n, repr(v) if isinstance(v := settings[n], list | dict) else v) for n in names)
