"""Tables of files become dataclasses, or a line that names file, key and value, and what should have been given."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptx.config import AnchorsConfig, EncodeConfig
from ptx.config.nearby import settings_file
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.config.validation import nearest, read_toml, validated
from ptx.errors import PtxError, UsageError
from ptx.paper.recipe import load_recipe
from ptx.suites.description import Keys, read_description


@dataclass(frozen=True)
class Part:
    steps: int = 1
    rate: float = 0.5
    on: bool = False
    order: Literal["up", "down"] = "up"
    most: int | None = None
    size: str = "all"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"--steps {self.steps} is less than 1", "choose more")


@dataclass(frozen=True)
class Open:
    __pydantic_config__ = {"extra": "ignore"}  # noqa: RUF012 - not a field
    name: str


@dataclass(frozen=True)
class Whole:
    title: str
    part: Part = Part()
    parts: Sequence[Part] = ()
    open: Open | None = None
    names: str | tuple[str, ...] = field(default="", metadata={"min_length": 1})
    words: Mapping[str, str] | list[str] = field(default_factory=dict)
    share: float = field(default=0.1, metadata={"gt": 0, "lt": 1})
    by_name: dict[str, Part] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)


def whole(text: str) -> Whole:
    return validated(Whole, tomllib.loads(f"title = 'x'\n{text}"), "a.toml")


def test_what_is_given_is_what_comes_out() -> None:
    text = """
        part = { steps = 3, rate = 0.25, on = true, order = "down", most = 7, size = "48%" }
        parts = [{ steps = 2 }, {}]
        open = { name = "n", later = 1 }
        names = ["a", "b"]
        words = { 1 = "bad" }
        by_name.one.steps = 4
        anything = { a = [1, true, { b = 2.5 }] }
    """
    assert whole(text) == Whole(
        title="x", part=Part(3, 0.25, True, "down", 7, "48%"), parts=[Part(2), Part()], open=Open("n"),
        names=("a", "b"), words={"1": "bad"}, by_name={"one": Part(4)}, anything={"a": [1, True, {"b": 2.5}]},
    )  # fmt: skip
    assert whole("") == Whole("x")


def test_a_number_does_for_a_text_and_a_whole_one_for_any() -> None:
    found = whole("part = { size = 512, rate = 1 }\nwords = [1, 'a']").part
    assert (found.size, found.rate, type(found.rate)) == ("512", 1.0, float)
    assert whole("part.size = 0.1").part.size == "0.1"
    assert whole("words = [1, 'a']").words == ["1", "a"]


MISTAKES = [
    ("titel = 1", "unknown key 'titel'", "did you mean 'title'?"),
    ("zzz = 1", "unknown key 'zzz'", "choose among title, part, parts, open, "),
    ("part.step = 1", "part: unknown key 'step'", "did you mean 'steps'?"),
    ("parts = [{}, { step = 1 }]", "parts 2: unknown key 'step'", "did you mean 'steps'?"),
    ("by_name.one.step = 1", "by_name.one: unknown key 'step'", "did you mean 'steps'?"),
    ("open = {}", "no open.name", "open needs name"),
    ("part = 3", "part: 3 will not do", "give a table"),
    ("parts = 3", "parts: 3 will not do", "give a list"),
    ("parts = 'ab'", "parts: 'ab' will not do", "give a list"),
    ("part.steps = 'ten'", "part.steps: 'ten' will not do", "give a whole number"),
    ("part.steps = 1.0", "part.steps: 1.0 will not do", "give a whole number"),
    ("part.steps = true", "part.steps: True will not do", "give a whole number"),
    ("part.most = 'x'", "part.most: 'x' will not do", "give a whole number"),
    ("part.rate = true", "part.rate: True will not do", "give a number"),
    ("part.rate = '1'", "part.rate: '1' will not do", "give a number"),
    ("part.on = 1", "part.on: 1 will not do", "give true or false"),
    ("part.on = 'true'", "part.on: 'true' will not do", "give true or false"),
    ("part.order = 'left'", "part.order: 'left' will not do", "give 'up' or 'down'"),
    ("part.order = ['up']", "part.order: ['up'] will not do", "give 'up' or 'down'"),
    ("part.size = true", "part.size: True will not do", "give a text"),
    ("part.size = 1979-05-27", "part.size: datetime.date(1979, 5, 27) will not do", "give a text"),
    ("parts = [{}, { steps = 'x' }]", "parts 2.steps: 'x' will not do", "give a whole number"),
    ("names = true", "names: True will not do", "give a text or a list"),
    ("names = []", "names: [] will not do", "give one or more"),
    ("names = ['a', true]", "names 2: True will not do", "give a text"),
    ("words = 3", "words: 3 will not do", "give a table or a list"),
    ("words = { 1 = [] }", "words.1: [] will not do", "give a text"),
    ("share = 0", "share: 0 will not do", "give a number above 0"),
    ("share = 1.5", "share: 1.5 will not do", "give a number below 1"),
    ("share = nan", "share: nan will not do", "give a number below 1"),
    ("part.steps = 0", "--steps 0 is less than 1", "choose more"),
    ("part = { zzz = 1, steps = 'x' }\nopen = {}", "part: unknown key 'zzz'", "choose among steps, "),
    ("part.steps = 'x'\nopen = {}", "no open.name", "open needs name"),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_mistakes_are_named(text: str, message: str, hint: str) -> None:
    with pytest.raises(PtxError) as caught:
        whole(text)
    assert caught.value.message == f"a.toml: {message}"
    assert caught.value.hint.startswith(hint)


def test_the_whole_and_what_is_under_a_key() -> None:
    for values, under, message, hint in (
        ({}, "", "a.toml: no title", "it needs title"),
        ({}, "top", "a.toml: no top.title", "top needs title"),
        (5, "", "a.toml: 5 will not do", "give a table"),
        ([], "top", "a.toml: top: [] will not do", "give a table"),
        ({"title": [], "zz": 1}, "top", "a.toml: top: unknown key 'zz'", "choose among title"),
        ({"title": []}, "top", "a.toml: top.title: [] will not do", "give a text"),
    ):
        with pytest.raises(PtxError) as caught:
            validated(Whole, values, "a.toml", under)
        assert (caught.value.message, caught.value.hint[: len(hint)]) == (message, hint)
    with pytest.raises(PtxError, match=r"^a\.toml: tune: --epochs 0 is less than 1$") as caught:
        validated(TuneConfig, {"epochs": 0}, "a.toml", "tune")
    assert (caught.value.hint, caught.value.exit_code) == ("choose --epochs 1 or more", 1)
    with pytest.raises(PtxError, match=r"^a\.toml: 2: True will not do$"):
        validated(list[str], ["a", True], "a.toml")


@pytest.mark.parametrize("config", [TuneConfig, AnchorsConfig, EncodeConfig, SearchConfig])
def test_the_stages_settings_are_what_their_classes_say(config: Any) -> None:
    assert validated(config, {}, "a.toml") == config()
    given = {name: value for name, value in vars(config()).items() if value is not None}
    assert vars(validated(config, given, "a.toml")) == vars(config())


def nested(depth: int) -> Any:
    inner: Any = 1
    for _ in range(depth):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize(
    "values",
    [
        {"part": {"steps": {"a": 16**5000}}},
        {"part": {"rate": 16**5000}},
        {"part": {"size": 16**5000}},
        {"part": {"on": nested(100_000)}},
        {"words": nested(100_000)},
        {"part": nested(100_000)},
        {"x" * 10**6: 1},
        {"words": {"x" * 10**6: True}},
        {"part": {"order": "x" * 10**6}},
        {"\x1b[2J\n": 1},
        {"words": {"\x1b[2J\n\u2028": True}},
        {"part": {"order": "\x1b[2J\n"}},
        {"\ud800": 1},
        {"part": {"order": "\ud800"}},
        {"words": {"\ud800": True}},
        {3: 1},
        {"words": {(): True}},
        {"part": {None: 1}},
    ],
    ids=range(18),
)
def test_hostile_values_are_named_on_a_line(values: dict[Any, Any]) -> None:
    with pytest.raises(PtxError) as caught:
        validated(Whole, {"title": "x"} | values, "a.toml")
    for line in (caught.value.message, caught.value.hint):
        assert line.isprintable()
        assert 0 < len(line) < 500
    assert caught.value.message.startswith("a.toml: ")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@given(values=st.dictionaries(st.sampled_from(["title", *vars(Whole("x"))]) | st.text(), ANY) | ANY)
@settings(deadline=None)
def test_anything_is_a_whole_or_a_line(values: Any) -> None:
    refused = None
    try:
        found = validated(Whole, values, "a.toml")
    except PtxError as error:
        refused = error
    if refused is not None:
        assert f"{refused.message}{refused.hint}".isprintable()
        assert refused.hint
        return
    assert isinstance(found.title, str)
    assert 0 < found.share < 1


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (b"x = = 1", "invalid value"),
        (b"x = \xff", "utf-8"),
        (b"x = " + b"1" * 5000, "exceeds the limit (4300 digits)"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, text: bytes, wrong: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    for read in (lambda: read_toml(path, ""), lambda: load_recipe(str(path)), lambda: read_description(path)):
        _is_refused(read, path, wrong)
    found = path.rename(tmp_path / "ptx.toml")
    _is_refused(lambda: settings_file(tmp_path), found, wrong)


def _is_refused(read: Callable[[], object], path: Path, wrong: str) -> None:
    with pytest.raises(PtxError) as error:
        read()
    assert wrong in error.value.message.lower()
    assert str(path) in error.value.message
    assert len(error.value.message) < len(str(path)) + 250


def test_nearest() -> None:
    assert nearest("tun", ["tune", "search"]) == "did you mean 'tune'?"
    assert nearest("xyz", ["tune", "search"]) == "choose among tune, search"


def test_the_schema_of_a_suite_describes_every_key() -> None:
    from pydantic import TypeAdapter

    schema = TypeAdapter(Keys).json_schema()
    tables = [schema, *schema["$defs"].values()]
    assert {table["title"] for table in tables} == {"Keys", "Files", "First", "Limit"}
    for table in tables:
        assert table["additionalProperties"] is False
        assert all(key["description"] for key in table["properties"].values())
    assert schema["required"] == ["template", "text", "label", "words", "files"]
    assert json.loads(json.dumps(schema)) == schema


def test_pydantic_is_imported_when_there_is_something_to_check() -> None:
    code = (
        "import sys, ptx.config.validation, ptx.suites.description, ptx.formats.card; print('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
