"""What is in memory gives the keys of the same data in a file, of the same model in a folder."""

from __future__ import annotations

import csv
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from ptx import api
from ptx.cache import Store, functions, gc, leases
from ptx.lms.known import zoo
from ptx.lms.models import resolve
from ptx.notebooks import memory
from ptx.stages import versions
from ptx.suites import SPLITS, load_suite

pytestmark = [
    pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*reduction operations on a read-only:UserWarning"),
]
ROWS = [
    {"sub_label": f"name{i}", "obj_label": ("France", "Japan", "Peru")[i % 3], "split": SPLITS[i // 12]}
    for i in range(36)
]  # fmt: skip


def loaded(folder: str, kind=AutoModelForMaskedLM) -> tuple:
    return kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_a_frame_has_the_keys_of_the_same_data_in_a_csv_file(ptx, tiny, tmp_path) -> None:
    """Written here by another writer, with every field in quotes."""
    rows = [{**row, "sub_label": row["sub_label"].replace("name1", 'na"me, 1')} for row in ROWS]
    with (tmp_path / "capitals.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    options = {"model": tiny["a"], "epochs": 1, "template": "[X] word1 [Y] ."}
    there = api.tune(suite="capitals.csv", **options)
    frame = pd.DataFrame(rows)
    frame.attrs["name"] = "capitals"
    here = api.tune(suite=frame, **options)
    assert here.key.tolist() == there.key.tolist()
    assert here.reused.all()
    other = api.tune(suite=frame.iloc[1:].set_index("sub_label"), **options)  # a named index is a column
    assert not other.reused.any()
    assert int(other.facts[0]) == 11
    assert len([*Path("cache/given").glob("*/*.csv")]) == 2


def test_other_columns_several_answers_and_the_listing_of_a_frame(ptx, tiny) -> None:
    frame = pd.DataFrame({"country": ["name1", "name2", "name3"], "capital": [["Peru", "Japan"], ["Kenya"], "France"]})
    columns = ["subject=country", "object=capital"]
    listed = api.suites(frame, columns=columns)
    assert listed.task.tolist() == ["frame"]
    assert listed[["train", "dev", "test"]].to_numpy().tolist() == [[1, 1, 1]]
    assert api.suites(suite=frame, columns=columns).equals(listed)
    (file,) = Path("cache/given").glob("*/frame.csv")
    facts = [
        fact for of in load_suite(f"{file}?columns={','.join(columns)}").tasks[0].splits.values() for fact in of
    ]  # fmt: skip
    assert {(fact.object, fact.others) for fact in facts} == {
        ("Peru", ("Japan",)), ("Kenya", ()), ("France", ()),
    }  # fmt: skip


def test_what_is_wrong_with_a_frame_is_said_as_of_a_file(ptx, tiny) -> None:
    with pytest.raises(api.PtxError, match=r"frame.csv:1: no column 'sub_label' in a, b"):
        api.suites(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(api.PtxError, match="is no text"):
        api.suites(pd.DataFrame({"sub_label": ["x\udcff"], "obj_label": ["y"]}, dtype=object))
    frame = pd.DataFrame(ROWS)
    frame.attrs["name"] = "../up"
    with pytest.raises(api.PtxError, match=r'frame.attrs\["name"\]: the task name'):
        api.suites(frame)


def test_a_damaged_copy_of_a_frame_is_written_anew(ptx) -> None:
    frame = pd.DataFrame(ROWS)
    before = api.suites(frame)
    (file,) = Path("cache/given").glob("*/frame.csv")
    file.write_text(file.read_text().replace("France", "Italy"))
    assert api.suites(frame).equals(before)
    assert "Italy" not in file.read_text()


def test_a_loaded_model_has_the_keys_of_its_folder(ptx, tiny, suite) -> None:
    settings = {"suite": suite, "tasks": "R1", "epochs": 1}
    there = api.eval(sources=[tiny["a"], tiny["narrow"]], target=tiny["b"], upstream=True, **settings)
    here = api.eval(
        sources=[loaded(tiny["a"]), tiny["narrow"]], target=loaded(tiny["b"]), upstream=True, **settings
    )  # fmt: skip
    assert here.key.tolist() == there.key.tolist()
    assert here.reused.all()
    assert len([*Path("cache/given").glob("*/*/config.json")]) == 2
    # Also one that was never in a folder, and one with another kind of head
    assert resolve(memory.saved(loaded(tiny["next"], AutoModelForCausalLM), Path("cache"))).digest == (
        resolve(tiny["next"]).digest
    )


def test_an_embedded_model_that_is_loaded_has_its_key(tmp_path) -> None:
    """Though its tokenizer says, once it is loaded, where it was found."""
    from ptx.lms.known import ZOO_FOLDER

    pair = loaded(str(ZOO_FOLDER / zoo()[0]))
    folder = memory.saved(pair, tmp_path)
    assert Path(folder).name == zoo()[0]
    assert resolve(folder).digest == resolve(zoo()[0]).digest


def test_the_key_follows_tensors_and_tokenizer(tiny, tmp_path) -> None:
    model, tokenizer = loaded(tiny["a"])
    first = resolve(memory.saved((model, tokenizer), tmp_path)).digest
    with torch.no_grad():
        model.get_input_embeddings().weight[7, 3] += 1
    second = resolve(memory.saved((model, tokenizer), tmp_path)).digest
    tokenizer.add_tokens(["newest"])
    third = resolve(memory.saved((model, tokenizer), tmp_path)).digest
    assert len({first, second, third}) == 3
    assert resolve(memory.saved(loaded(tiny["a"]), tmp_path)).digest == first


def test_weights_are_written_once_and_again_if_they_are_damaged(tiny, tmp_path, monkeypatch) -> None:
    pair = loaded(tiny["a"])
    folder = Path(memory.saved(pair, tmp_path))
    digest, written = resolve(str(folder)).digest, (folder / "model.safetensors").stat().st_ino
    assert Path(memory.saved(pair, tmp_path)) == folder
    assert (folder / "model.safetensors").stat().st_ino == written
    (folder / "config.json").write_text("{}")
    assert Path(memory.saved(pair, tmp_path)) == folder
    assert resolve(str(folder)).digest == digest
    shutil.rmtree(folder)
    assert Path(memory.saved(pair, tmp_path)) == folder
    assert not [*(tmp_path / "given").glob(".*")]  # nothing half done is left


def test_what_is_no_model_is_refused_with_what_to_do(ptx, tiny, suite) -> None:
    model, tokenizer = loaded(tiny["a"])
    for given, message in (
        (model, "a BertForMaskedLM by itself is no model"),
        ((tokenizer, model), "is no model of transformers"),
        ((model, model), "a BertForMaskedLM is no tokenizer of transformers"),
    ):
        with pytest.raises(api.PtxError, match=message) as raised:
            api.tune(model=given, suite=suite)
        assert "target=(model, tokenizer)" in raised.value.hint
    Path("file").write_text("")
    with pytest.raises(api.PtxError, match="cannot write"):
        api.tune(model=(model, tokenizer), suite=suite, cache_dir="file")


def test_gc_removes_what_no_artifact_names_any_more(ptx, tiny) -> None:
    """Of three that were given the one that was only looked at, once it is old; the others go after what names them."""
    prompt = api.tune(model=loaded(tiny["a"]), suite=pd.DataFrame(ROWS), template="[X] word1 [Y] .", epochs=1)
    api.suites(pd.DataFrame(ROWS[1:]))
    used, spare = set[Path](), set[Path]()
    for place in Path("cache/given").iterdir():
        (used if place.name in Path(prompt.path[0], "meta.json").read_text() else spare).add(place.absolute())
    assert (len(used), len(spare)) == (2, 1)

    def aged(*paths: Path) -> None:
        for path in paths:
            os.utime(path, (time.time() - 3 * gc.DAY,) * 2)

    def collected(**how: Any) -> set[Path]:
        return {Path(path).absolute() for path in functions.gc(**how).path if "locks" not in Path(path).parts}

    assert collected(older_than=0, dry_run=True) == set()  # a call may be about to use it
    aged(*used, *spare)
    assert collected() == collected(max_size="0") == collected(older_than=4) == set()
    store = Store(Path("cache"))
    with leases.held(store, [("search", "a" * 32)]):
        kept = gc.collect_garbage(store, versions(), gc.Wanted(older_than=2))
    assert {path.absolute() for path in kept.in_use} == spare
    assert collected(older_than=2, dry_run=True) == collected(older_than=2) == spare
    api.suites(pd.DataFrame(ROWS))  # given again
    aged(Path(prompt.path[0]))
    assert collected(older_than=2, stage="tune") == {Path(prompt.path[0])}
    (left,) = collected(older_than=2)
    assert left in used
    assert {path.absolute() for path in Path("cache/given").iterdir()} == used - {left}
    assert [*Path("cache/given").glob("*/frame.csv")]


def test_gc_removes_what_a_killed_call_has_left_half_saved(tmp_path) -> None:
    place = tmp_path / "given"
    machine = leases.owner().partition("-")[2]
    dead, alive = (place / f".model.00000000.{pid}-{machine}" for pid in (2**22 + 1, os.getpid()))
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    assert gc.collect_garbage(Store(tmp_path), versions()).paths == [dead]
    assert [*place.iterdir()] == [alive]
