"""`ptx why`, `errors`, `table --keys`, `cache ls` and `rm`: where a number comes from, and what was made from what."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PAPER_TUNING, Result

import ptx as package
from ptx.cache import Store, gc, leases
from ptx.config import said
from ptx.errors import PtxError
from ptx.results.wrong import wrong
from ptx.stages import versions

Run = Callable[..., Result]


@pytest.fixture
def found(ptx: Run, tiny: dict[str, str], suite: str) -> dict[str, dict]:
    """Lines of a transfer and of the manual template, on one task, by stage (the second evaluation as "manual")."""
    made = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], *asked(suite), "--json")
    assert made.code == 0, made.err
    manual = ptx("eval", "--target", tiny["b"], "--method", "manual", "--anchors", made.at("anchors")[0]["key"][:16],
                 "--suite", suite, "--tasks", "R1", "--json")  # fmt: skip
    assert manual.code == 0, manual.err
    return {line["stage"]: line for line in made.lines} | {"manual": manual.at("eval")[0]}


def asked(suite: str) -> list[str]:
    return ["--suite", suite, "--tasks", "R1", "--epochs", "1", *PAPER_TUNING]


def meta(line: dict) -> dict:
    return json.loads((Path(line["path"]) / "meta.json").read_text("utf-8"))


def test_artifacts_record_the_command_line(found: dict[str, dict], tiny: dict[str, str], suite: str) -> None:
    line = ["ptx", "eval", "--sources", tiny["a"], "--target", tiny["b"], *asked(suite), "--json"]
    for stage in ("anchors", "tune", "encode", "search", "eval"):
        assert meta(found[stage])["made_by"] == {"command": shlex.join(line)}


def test_they_record_the_recipe_too_also_from_other_processes(ptx: Run, tiny, suite, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        f'suite = "{suite}"\ntasks = ["R1"]\nsources = [["{tiny["a"]}"], ["{tiny["b"]}"]]\n'
        f'targets = ["{tiny["narrow"]}"]\nmethods = ["relative"]\ntune.epochs = 1\n'
    )
    assert ptx("run", "grid.toml", "--jobs", "2").code == 0
    entries = [*Store(tmp_path / "cache").entries()]
    assert {entry.parent.name for entry in entries} == {"anchors", "tune", "encode", "search", "eval", "table"}
    for entry in entries:
        said = json.loads((entry / "meta.json").read_text())["made_by"]
        assert said == {"command": "ptx run grid.toml --jobs 2", "recipe": "grid"}


def test_it_changes_neither_keys_nor_bytes_nor_what_is_found(ptx: Run, tiny, tmp_path: Path) -> None:
    """Another command line, and a call, find what the first one made; elsewhere they make the same of it."""
    one = ptx("anchors", "--models", tiny["a"], "--json").lines[-1]
    two = ptx("anchors", f"--models={tiny['a']}", "--json", "-v").lines[-1]
    assert (two["key"], two["reused"]) == (one["key"], True)
    assert meta(one) == meta(two)
    called = package.anchors(models=[tiny["a"]], cache_dir=tmp_path / "other").iloc[-1]
    assert called.key == one["key"]
    there = meta(dict(called))
    assert there["payload"] == meta(one)["payload"]
    place = str(tmp_path / "other")
    assert there["made_by"]["command"] == f"ptx.anchors(models={json.dumps(tiny['a'])}, cache_dir={json.dumps(place)})"
    again = ptx("anchors", "--models", tiny["a"], "--json", "--force").lines[-1]  # the same result: the first stays
    assert meta(again) == meta(one)


@pytest.mark.parametrize(
    ("args", "written"),
    [
        (["run", "my recipe.toml"], "ptx run 'my recipe.toml'"),
        (["x", "--from", "https://me:secret@host/file"], "ptx x --from https://***@host/file"),
        (["x", "https://host/f?sig=secret&e=1", "y"], "ptx x 'https://host/f?***' y"),
        (["x", "--suite", "hf:name", "hf_secretSECRET1"], "ptx x --suite hf:name ***"),
        (["x", "a?b", "c=d"], "ptx x 'a?b' c=d"),
    ],
)
def test_no_secret_is_recorded(args: list[str], written: str) -> None:
    assert said.line(args) == written
    assert "secret" not in said.line(args)


def test_calls_are_written_as_they_were_made() -> None:
    assert said.call("run", ["demo"], {"seeds": [0, 1], "jobs": 2, "force": True, "models": None}) == (
        'ptx.run("demo", seeds="0,1", jobs=2, force=True, models=None)'
    )
    once = iter(["a"])
    assert said.call("tune", [], {"tasks": once}) == "ptx.tune(tasks=...)"
    assert [*once] == ["a"]
    assert len(said.line(["x" * 10_000])) == said.LONGEST


def test_why_is_a_tree_of_all_that_came_before(ptx: Run, found: dict[str, dict], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = ptx("why", found["eval"]["key"][:10], "--json")
    assert shown.code == 0, shown.err
    (tree,) = shown.lines
    assert (tree["stage"], tree["key"]) == ("eval", found["eval"]["key"])
    assert tree["seconds"] == meta(found["eval"])["seconds"]
    assert tree["created"] == meta(found["eval"])["created"]
    assert tree["command"] == meta(found["eval"])["made_by"]["command"]

    def keys(node: dict) -> set[tuple[str, str]]:
        return {(node["stage"], node.get("key", "")), *(pair for of in node.get("parents", ()) for pair in keys(of))}

    def walked(line: dict) -> set[tuple[str, str]]:
        """The same, read from meta.json alone."""
        own = meta(line)
        above = [Path(line["path"]).parents[1] / of["stage"] / of["key"] for of in own["parents"]]
        return {(own["stage"], own["key"]), *(pair for path in above for pair in walked({"path": str(path)}))}

    outside = {stage for stage, _ in keys(tree)} - {"eval", "search", "encode", "tune", "anchors"}
    assert outside == {"facts", "model", "tokenizers"}
    assert {pair for pair in keys(tree) if pair[0] not in outside} == walked(found["eval"])
    assert ("model", meta(found["tune"])["inputs"]["model"]) in keys(tree)
    text = ptx("why", found["eval"]["key"][:10]).out
    for stage in ("eval", "search", "encode", "tune", "anchors"):
        assert f"{stage} {found[stage]['key'][:12]}" in text
    flat = " ".join(text.replace("│", " ").split())
    assert "--epochs 1 --lr 0.01 --schedule constant" in flat
    assert "--layout" not in flat.replace("$ ptx", "")  # as by default
    assert "layout postfix" in " ".join(ptx("why", found["eval"]["key"], "-v").out.replace("│", " ").split())
    keys_only = ptx("why", found["eval"]["key"], "-q").out.split()
    assert keys_only[0] == found["eval"]["key"]
    assert {*keys_only} == {key for _, key in keys(tree)} - {""}
    assert text.count("(as above)") == 2  # the anchors, behind encode and search
    assert max(map(len, text.splitlines())) <= 80


def test_why_names_what_has_gone_or_was_made_anew(ptx: Run, found: dict[str, dict]) -> None:
    shutil.rmtree(found["encode"]["path"])
    text = ptx("why", found["eval"]["key"]).out
    assert f"encode {found['encode']['key'][:12]}" in text
    assert "(no longer in the cache)" in text
    assert "tune" not in text.replace("--tune", "").split("encode")[1].split("anchors")[0].replace("tuned", "")


def test_why_in_python(ptx: Run, found: dict[str, dict]) -> None:
    frame = package.why(found["search"]["key"])
    assert frame.stage.tolist()[0] == "search"
    assert frame.depth.tolist()[0] == 0
    assert {"encode", "tune", "anchors", "facts", "model"} <= {*frame.stage}


def test_why_of_an_unknown_key(ptx: Run) -> None:
    result = ptx("why", "zz")
    assert (result.code, result.out) == (1, "")
    assert "artifact zz" in result.err
    assert "hint: run `ptx cache ls`" in result.err


def lines_of(line: dict) -> list[dict]:
    return [json.loads(text) for text in (Path(line["path"]) / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_errors_are_the_wrong_answers(ptx: Run, found: dict[str, dict]) -> None:
    answers = lines_of(found["eval"])
    *rows, counts = ptx("errors", found["eval"]["key"][:12], "--json").lines
    expected = [
        {"subject": a["subject"], "right": a["object"], "given": a["predicted"], "probability": a["probability"],
         "rank": a["rank"]}
        for a in answers if a["predicted"] != a["object"]
    ]  # fmt: skip
    assert rows == expected
    right = sum(a["predicted"] == a["object"] for a in answers)
    assert counts == {"facts": 8, "right": right, "wrong": 8 - right}
    assert right == meta(found["eval"])["metrics"]["correct"]
    text = ptx("errors", found["eval"]["key"][:12]).out
    assert f"8 facts: right {right}, wrong {8 - right}" in text
    assert all(row["subject"] in text for row in rows)
    limited = ptx("errors", found["eval"]["key"], "--limit", "1", "--json").lines
    assert limited == [rows[0], counts]


def test_two_evaluations_stand_side_by_side(ptx: Run, found: dict[str, dict], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    one, two = lines_of(found["eval"]), lines_of(found["manual"])
    *rows, counts = ptx("errors", found["eval"]["key"], found["manual"]["key"], "--json").lines
    pairs = [(a["predicted"] == a["object"], b["predicted"] == b["object"]) for a, b in zip(one, two, strict=True)]
    assert counts == {
        "facts": 8, "both_right": pairs.count((True, True)), "only_first": pairs.count((True, False)),
        "only_second": pairs.count((False, True)), "neither": pairs.count((False, False)),
    }  # fmt: skip
    assert [(r["given"], r["given_2"]) for r in rows] == [
        (a["predicted"], b["predicted"]) for a, b, pair in zip(one, two, pairs, strict=True) if pair != (True, True)
    ]
    frame = package.wrong_answers(found["eval"]["key"], found["manual"]["key"])
    assert frame.to_dict("records") == rows
    assert frame.attrs == counts
    text = ptx("errors", found["eval"]["key"], found["manual"]["key"]).out
    assert f"neither {counts['neither']}" in text
    assert max(map(len, text.splitlines())) <= 80


def evaluation(store: Store, letter: str, facts: str, answers: list[dict]) -> str:
    def write(folder: Path) -> None:
        text = "".join(json.dumps(answer) + "\n" for answer in answers)
        (folder / "predictions.jsonl").write_text(text, "utf-8")

    labels = {"suite": "s", "task": facts, "split": "test", "method": "manual", "target": "m", "sources": []}
    made = {"version": 1, "config": {}, "parents": [], "labels": labels, "metrics": {}, "inputs": {"facts": facts}}
    return store.publish("eval", letter * 32, made, write).key


def test_other_right_answers_are_no_errors_and_other_facts_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    line = {"subject": "x", "object": "Rome", "others": ["Roma"], "predicted": "Roma", "probability": 0.5, "rank": 1}
    key = evaluation(store, "a", "P1", [line, {**line, "subject": "y", "predicted": "Oslo", "rank": 7}])
    found = wrong(store, key)
    assert [row["subject"] for row in found.rows] == ["y"]
    assert found.counts == {"right": 1, "wrong": 1}
    fewer = evaluation(store, "b", "P1", [line])
    assert wrong(store, key, fewer).alone == 1
    assert wrong(store, key, fewer).counts == {"both_right": 1, "only_first": 0, "only_second": 0, "neither": 0}
    with pytest.raises(PtxError) as raised:
        wrong(store, key, evaluation(store, "c", "P2", [line]))
    assert raised.value.message == "they are of other facts: s P1 test and s P2 test"
    assert "ptx cache ls --stage eval" in raised.value.hint


def test_what_is_no_evaluation_has_no_errors(ptx: Run, found: dict[str, dict], tiny) -> None:
    result = ptx("errors", found["search"]["key"])
    assert result.code == 2
    assert f"search {found['search']['key'][:12]} is no evaluation" in result.err
    assert f"ptx eval --prompt {found['search']['key'][:12]} --target {tiny['b']}" in result.err


def test_a_table_with_the_keys_behind_its_cells(ptx: Run, found: dict[str, dict]) -> None:
    rows = {row["method"]: row for row in ptx("table", "--keys", "--json").lines}
    assert rows["relative"]["keys"] == [found["eval"]["key"]]
    assert rows["manual"]["keys"] == [found["manual"]["key"]]
    assert rows["floor"]["keys"] == []
    assert "keys" not in ptx("table", "--json").lines[0]
    for by in ("method", "task"):
        text = ptx("table", "--keys", "--by", by).out
        assert found["eval"]["key"][:12] in text
        assert found["manual"]["key"][:12] in text
    assert found["eval"]["key"] in ptx("table", "--keys", "--format", "csv").out
    assert package.table(keys=True, long=True)["keys"].str.len().sum() == 2
    refused = ptx("table", "--keys", "--curve")
    assert refused.code == 2
    assert "leave --curve out" in refused.err


def listed(run: Result) -> set[str]:
    return {line["key"] for line in run.lines}


def test_a_list_by_model_task_and_method_with_totals(ptx: Run, found: dict[str, dict], tiny) -> None:
    short = {name: line["key"][:12] for name, line in found.items()}
    every = ptx("cache", "ls", "--json")
    assert {*short.values()} <= listed(every)
    assert listed(ptx("cache", "ls", "--json", "--method", "manual")) == {short["manual"]}
    both = ptx("cache", "ls", "--json", "--method", "manual,relative", "--stage", "eval")
    assert listed(both) == {short["manual"], short["eval"]}
    assert listed(ptx("cache", "ls", "--json", "--model", Path(tiny["a"]).name, "--stage", "tune")) == {short["tune"]}
    assert listed(ptx("cache", "ls", "--json", "--model", tiny["a"], "--stage", "eval")) == {short["eval"]}
    assert listed(ptx("cache", "ls", "--json", "--task", "R2")) == set()
    size = sum(line["bytes"] for line in every.lines)
    assert f"{len(every.lines)} artifacts, {size / 1e6:.1f} MB" in every.err
    one = ptx("cache", "ls", "--method", "manual")
    assert "\n1 artifact, " in f"\n{one.err}"
    assert one.out.splitlines()[1].split()[1] == short["manual"]
    assert "cache/v1" not in one.out  # paths are long; JSON and -q have them


def test_what_others_were_made_from_stays_unless_they_go_too(ptx: Run, found: dict[str, dict]) -> None:
    kept = ptx("cache", "rm", found["encode"]["key"])
    assert kept.code == 1
    assert "2 artifacts (1 search, 1 eval) were made from it" in kept.err
    assert "--with-dependents" in kept.err
    everything = [Path(line["path"]) for line in found.values()]
    assert all(path.is_dir() for path in everything)
    gone = {found[stage]["path"] for stage in ("encode", "search", "eval")}
    assert (
        "would remove 3 artifacts" in ptx("cache", "rm", found["encode"]["key"], "--with-dependents", "--dry-run").err
    )
    dry = ptx("cache", "rm", found["encode"]["key"], "--with-dependents", "--dry-run", "-q")
    assert {*dry.out.split()} == gone
    assert all(path.is_dir() for path in everything)
    assert {*ptx("cache", "rm", found["encode"]["key"], "--with-dependents", "-q").out.split()} == gone
    assert {str(path) for path in everything if path.exists()} == {
        found[stage]["path"] for stage in ("anchors", "tune", "manual")
    }
    one = ptx("cache", "rm", found["manual"]["key"][:12])
    assert "removed 1 artifact, " in one.err
    assert ptx("cache", "verify").code == 0
    assert not [*Path("cache/v1").glob("*/.*")]


def test_what_a_running_command_may_need_stays(ptx: Run, found: dict[str, dict]) -> None:
    store = Store(Path("cache"))
    with leases.held(store, [("eval", found["eval"]["key"])]):
        refused = ptx("cache", "rm", found["search"]["key"], "--with-dependents")
        assert refused.code == 1
        assert f"eval {found['eval']['key'][:12]} may be needed by a command that is running" in refused.err
        assert Path(found["search"]["path"]).is_dir()
    assert ptx("cache", "rm", found["search"]["key"], "--with-dependents").code == 0
    assert not gc.collect_garbage(store, versions(), dry_run=True).in_use


def test_what_lies_in_another_cache_is_not_removed(ptx: Run, found: dict[str, dict]) -> None:
    result = ptx("cache", "rm", found["manual"]["path"], "--cache-dir", "other")
    assert result.code == 1
    assert "is not in the cache" in result.err
    assert Path(found["manual"]["path"]).is_dir()


def test_names_of_others_are_not_obeyed(ptx: Run, found: dict[str, dict], tmp_path: Path) -> None:
    """A command line is text from outside like any other when it is printed."""
    store = Store(tmp_path / "cache", made_by={"command": "ptx run \x1b[31m[bold]x\nerror: faked"})
    key = evaluation(store, "e", "P1", [])
    text = ptx("why", key).out
    assert "\x1b" not in text
    assert "[bold]x" in text
    assert not [line for line in text.splitlines() if line.strip("│ ").startswith("error:")]
