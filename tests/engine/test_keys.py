"""Keys: equal configurations have equal keys, and any change that matters has another."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptx.cache.keys import canonical, digest
from ptx.config import AnchorsConfig, EncodeConfig, EvalConfig
from ptx.config.search import REFINE, SearchConfig
from ptx.config.tune import TuneConfig
from ptx.engine.step import Stage, Step
from ptx.errors import PtxError
from ptx.lms.models import resolve
from ptx.paper.recipe import load_recipe
from ptx.stages.anchors import anchors_step
from ptx.stages.choice import prompt_step
from ptx.stages.encode import encode_step
from ptx.stages.eval import eval_step
from ptx.stages.settings import Settings
from ptx.stages.tune import tune_step

ANCHORS, TUNE, SEARCH, EVAL = (Stage(name, version=1) for name in ("anchors", "tune", "search", "eval"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=5)
TABLES = st.dictionaries(TEXT, VALUES, max_size=4)


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, all the way down: True is not 1, and 1 is not 1.0."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


def shuffled(value: Any, draw: Any) -> Any:
    """The same value with every table's entries in another order, and lists as tuples."""
    if isinstance(value, dict):
        names = draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in names}
    return tuple(shuffled(item, draw) for item in value) if isinstance(value, list) else value


@given(data=st.data(), value=TABLES)
def test_order_does_not_matter(data: st.DataObject, value: dict[str, Any]) -> None:
    assert digest(shuffled(value, data.draw)) == digest(value)


@given(value=TABLES)
def test_canonical_json_reads_back(value: dict[str, Any]) -> None:
    read = json.loads(canonical(value))
    assert same(read, value)
    assert canonical(read) == canonical(value)


@given(a=TABLES, b=TABLES)
def test_different_values_have_different_keys(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert (digest(a) == digest(b)) == same(a, b)


@given(data=st.data(), value=TABLES.filter(bool))
def test_any_change_makes_another_key(data: st.DataObject, value: dict[str, Any]) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    other = data.draw(VALUES.filter(lambda v: not same(v, value[name])))
    for changed in ({**value, name: other}, {k: v for k, v in value.items() if k != name}):
        assert digest(changed) != digest(value)


@given(settings=TABLES, inputs=TABLES, parents=st.lists(TABLES, max_size=2), data=st.data())
def test_a_step_is_keyed_by_all_that_it_depends_on(
    settings: dict[str, Any], inputs: dict[str, Any], parents: list[dict[str, Any]], data: st.DataObject
) -> None:
    above = tuple(Step(TUNE, parent) for parent in parents)
    step = Step(SEARCH, settings, inputs, above)
    other = data.draw(TABLES)
    same_again = Step(
        SEARCH, shuffled(settings, data.draw), shuffled(inputs, data.draw), above, labels=other, group=("x",)
    )
    assert step.key == same_again.key
    assert step.key != Step(EVAL, settings, inputs, above).key
    assert step.key != dataclasses.replace(step, parents=(*above, Step(ANCHORS, {}))).key
    if not same(other, settings):
        assert step.key != Step(SEARCH, other, inputs, above).key
    if not same(other, inputs):
        assert step.key != Step(SEARCH, settings, other, above).key
    if not same(settings, inputs):
        assert step.key != Step(SEARCH, inputs, settings, above).key
    if above and not same(other, parents[0]):
        assert step.key != dataclasses.replace(step, parents=(Step(TUNE, other), *above[1:])).key
    if len(above) > 1 and not same(parents[0], parents[1]):
        assert step.key != dataclasses.replace(step, parents=(above[1], above[0], *above[2:])).key


def test_a_stage_version_is_part_of_its_key() -> None:
    for stage in (ANCHORS, TUNE, SEARCH, EVAL):
        assert Step(stage, {"a": 1}).key != Step(dataclasses.replace(stage, version=2), {"a": 1}).key


@pytest.mark.parametrize("value", [{1: "a"}, {None: 1}, {True: 1}, {"a": {2: 3}}, [{1.5: 1}]])
def test_names_that_are_no_text_are_refused(value: Any) -> None:
    """JSON would write {1: x} and {"1": x} alike."""
    with pytest.raises(PtxError, match="cannot be keyed exactly"):
        digest(value)


# One other value for every setting of every stage; a new setting must be added here.
OTHERS: dict[type, dict[str, Any]] = {
    TuneConfig: {
        "prompt_length": 4, "layout": "prefix", "init": "words", "init_scale": "0.2", "epochs": 9,
        "lr": 0.02, "lr_scale": 0.2, "batch_size": 8, "schedule": "constant", "warmup": 0.2,
        "optimizer": "optiprompt", "patience": 5,
    },
    AnchorsConfig: {"count": 100, "order": "rank", "keep_words": True},
    EncodeConfig: {"top_k": "100"},
    SearchConfig: {
        "solver": "adam", "steps": 100, "mask": "source", "ridge": "0.1", "select": "dev", "weights": "2,1",
        "normalize": False, "words": 16, "temperature": 0.1, "centre": False, "length": 1.0, "map": "top-k",
        "texts": "texts.txt", "nth": 2, "inputs": "words", "candidates": "text", "forecast": True, "trust": 0.25,
        "distil_steps": 12, "refine": 6,
    },
    EvalConfig: {"split": "dev"},
}  # fmt: skip
NOT_IN_KEYS = {"on", "purpose"}  # a suite's name (the digest of its facts is in the key), and what refuses settings
# What a setting needs to matter (`--steps` is one of Adam's).
NEEDS: dict[str, dict[str, Any]] = {
    "steps": {"solver": "adam"}, "select": {"solver": "adam"}, "order": {"count": 100},
    "init_scale": {"init": "random"},
}  # fmt: skip


# Settings that the paper's method does not have.
METHOD_OF = {
    "words": "neighbours", "temperature": "neighbours", "centre": "procrustes", "length": "residual", "map": "residual",
    "texts": "text", "nth": "text", "inputs": "auto", "candidates": "auto", "trust": "distil",
    "distil_steps": "distil", "refine": "auto",
}  # fmt: skip


STAGES = ("tune", "anchors", "encode", "search", "eval")


def final_key(configs: dict[type, Any], seed: int = 0, dtype: str = "float32", method: str = "relative") -> str:
    settings = Settings(seed=seed, dtype=dtype, **dict(zip(STAGES, configs.values(), strict=True)))
    task = settings.chosen_tasks()[0]
    anchors = anchors_step(["bert-micro", "roberta-micro"], settings)
    tuned = [tune_step(resolve(name), task, settings) for name in ("bert-micro", "roberta-micro")]
    target = resolve("albert-micro")
    prompt = prompt_step(method, tuned, target, task, anchors, settings)
    if method == "relative" and not settings.search.forecast:
        assert encode_step(tuned[0], anchors, settings) in prompt.parents
    return eval_step(method, prompt, target, task, anchors, settings).key


def test_every_setting_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("lies in\n")
    defaults = {config: config() for config in OTHERS}
    for config, others in OTHERS.items():
        assert {field.name for field in dataclasses.fields(config)} - NOT_IN_KEYS == others.keys()
        for name, value in others.items():
            base = {**defaults, config: config(**NEEDS.get(name, {}))}
            changed = {**base, config: dataclasses.replace(base[config], **{name: value})}
            method = METHOD_OF.get(name, "relative")
            assert final_key(changed, method=method) != final_key(base, method=method), name
            assert final_key(dict(changed), method=method) == final_key(changed, method=method)
    assert len({final_key(defaults), final_key(defaults, seed=1), final_key(defaults, dtype="bfloat16")}) == 3


def test_what_distil_depends_on_is_in_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is asked, and so none is in the key, where it is not trusted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("lies in\n")
    changes: list[dict[str, Any]] = [
        {}, {"candidates": "residual"}, {"inputs": "words"}, {"trust": 0.5}, {"trust": 0.0, "candidates": "residual"},
        {"texts": "texts.txt", "candidates": "residual"}, {"weights": "2,1"},
    ]  # fmt: skip

    def key(more: dict[str, Any]) -> str:
        return final_key({c: c(**(more if c is SearchConfig else {})) for c in OTHERS}, method="distil")

    keys = [key(more) for more in changes]
    assert len({*keys}) == len(keys)
    none = {"trust": 0.0, "candidates": "residual"}
    for same in ({**none, "trust": 0}, {**none, "texts": "texts.txt"}):
        assert key(same) == keys[4]


def test_what_auto_depends_on_is_in_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its steps go towards is not, where there are none; of named candidates there are none unless asked for."""
    monkeypatch.chdir(tmp_path)

    def key(seed: int = 0, **more: Any) -> str:
        return final_key({c: c(**(more if c is SearchConfig else {})) for c in OTHERS}, seed, method="auto")

    changes: list[dict[str, Any]] = [
        {}, {"refine": 0}, {"refine": 6}, {"trust": 0.5}, {"trust": 0.0}, {"candidates": "residual"},
        {"candidates": "residual", "refine": 6}, {"weights": "2,1"}, {"inputs": "words"},
    ]  # fmt: skip
    keys = [key(**more) for more in changes]
    assert len({*keys}) == len(keys)
    assert key(refine=REFINE) == keys[0]
    assert key(refine=0, trust=0.5) == keys[1]
    assert key(candidates="residual", refine=0) == keys[5]


@pytest.mark.parametrize(("one", "two"), [("0.1", "0.10"), ("1", "1.0"), ("0.05", "5e-2")])
def test_numbers_spelled_differently_are_the_same_setting(one: str, two: str) -> None:
    for config, name in ((TuneConfig, "init_scale"), (SearchConfig, "ridge")):
        keys = {
            final_key({c: c(**({name: text} if c is config else {})) for c in OTHERS}) for text in (one, two)
        }  # fmt: skip
        assert len(keys) == 1


def test_a_recipe_with_a_whole_number_asks_for_the_same(tmp_path: Path) -> None:
    keys = set()
    for number in ("1", "1.0", "1e0"):
        path = tmp_path / f"{number}.toml"
        settings = f"tune.lr = {number}\ntune.init_scale = {number}\n"
        path.write_text(f'targets = ["bert-micro"]\nmethods = ["tuned"]\n{settings}')
        (variant,) = load_recipe(str(path)).variants
        keys.add(final_key(dict(zip(OTHERS, map(variant.configs.get, STAGES), strict=True))))
    assert len(keys) == 1
