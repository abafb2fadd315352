"""An imported prompt goes through the stages as a tuned one does; contradictions are errors that say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import make_model
from foreign import VALID, save_adapter, save_npy, save_safetensors
from safetensors.torch import load_file

NARROW = 8  # the embedding width of the model `narrow`


def vectors(m: int, d: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(seed))


def stored(line: dict) -> torch.Tensor:
    return load_file(Path(line["path"]) / "prompt.safetensors")["prompt"]


@pytest.fixture
def imported(ptx, tiny, suite, tmp_path):
    """Import a matrix for a model and a task, and return the artifact's line."""

    def run(prompt: torch.Tensor, *more: str, model: str = "a", task: str = "R1") -> dict:
        path = save_safetensors(tmp_path / f"{model}-{task}-{len(prompt)}", {"x": prompt})
        done = ptx("import", path, "--model", tiny[model], "--suite", suite, "--task", task, "--json", *more)
        assert done.code == 0, done.err
        return done.lines[0]

    return run


@pytest.mark.parametrize("name", VALID)
def test_every_format_can_be_imported(ptx, tiny, suite, tmp_path, name: str) -> None:
    write, format, layout = VALID[name]
    path = write(tmp_path / name, vectors(4))
    args = ["import", path, "--model", tiny["a"], "--suite", suite, "--task", "R1"]
    done = ptx(*args, "--json")
    assert done.code == 0, done.err
    assert torch.equal(stored(done.lines[0]), vectors(4))
    assert done.lines[0]["format"] == format
    assert f"{format}, 4 vectors of width 16; layout {layout or 'postfix'}" in done.err
    assert ("ptx puts the prompt behind [CLS]" in done.err) == (layout == "prefix")
    forced = ptx(*args, "--layout", "prefix", "--format", format, "--rows", "2", "--json")
    assert forced.lines[0]["layout"] == "prefix"
    assert torch.equal(stored(forced.lines[0]), vectors(4)[:2])


def test_an_imported_prompt_gives_what_the_tuned_one_gives(ptx, tiny, suite) -> None:
    """Encodings, searches and evaluations have the same numbers; their keys say that the prompt was imported."""
    common = ["--suite", suite, "--epochs", "1", "--json"]
    tuned = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], *common).lines
    (prompt,) = [line for line in tuned if line["stage"] == "tune" and line["task"] == "R1"]
    file = Path(prompt["path"]) / "prompt.safetensors"
    mine = ptx("import", file, "--model", tiny["a"], "--task", "R1", "--suite", suite, "--json").lines[0]
    assert mine["key"] != prompt["key"]
    (encoding,) = ptx("encode", "--prompt", mine["key"][:12], "--anchors", tuned[0]["key"], "--json").at("encode")
    (theirs,) = [line for line in tuned if line["stage"] == "encode" and line["task"] == "R1"]
    cosines = [load_file(Path(line["path"]) / "relative.safetensors")["cosines"] for line in (encoding, theirs)]
    assert torch.equal(*cosines)
    search = ["search", "--prompt", mine["key"], "--target", tiny["b"], "--anchors", tuned[0]["key"]]
    (found,) = ptx(*search, "--json").at("search")
    (theirs,) = [line for line in tuned if line["stage"] == "search" and line["task"] == "R1"]
    assert found["matching_loss"] == theirs["matching_loss"]
    assert torch.equal(stored(found), stored(theirs))
    scored = ptx("eval", "--prompt", found["key"], "--target", tiny["b"], "--anchors", tuned[0]["key"], "--json")
    (theirs,) = [line for line in tuned if line["stage"] == "eval" and line["task"] == "R1"]
    assert scored.at("eval")[0]["accuracy"] == theirs["accuracy"]
    assert scored.at("eval")[0]["sources"] == [tiny["a"]]
    assert "skipped" not in scored.err
    dry = ptx(*search, "--dry-run", "--json")
    assert {line["cache"] for line in dry.lines} == {"hit"}
    # The two kinds of source never share a table.
    assert "init imported" in ptx("table").out
    assert ptx("table").out.count("test split") == 2


def test_tuned_prompts_by_key_are_those_of_their_settings(ptx, tiny, suite) -> None:
    """`--prompt` with keys of tuned prompts finds what `--sources` built: the keys are the same."""
    common = ["--suite", suite, "--epochs", "1", "--json", "--anchors"]
    words = ptx("anchors", "--models", f"{tiny['a']},{tiny['b']},{tiny['narrow']}", "--json").lines[0]["key"]
    first = ptx("search", "--sources", f"{tiny['a']},{tiny['b']}", "--target", tiny["narrow"], *common, words)
    keys = ",".join(line["key"] for line in first.at("tune"))
    again = ptx("search", "--prompt", keys, "--target", tiny["narrow"], "--json", "--anchors", words)
    assert all(line["reused"] for line in again.lines), again.err
    assert [line["key"] for line in again.at("search")] == [line["key"] for line in first.at("search")]
    encoded = ptx("encode", "--prompt", keys, "--json", "--anchors", words)
    assert {line["key"] for line in encoded.at("encode")} == {line["key"] for line in first.at("encode")}


def test_a_hundred_vectors_work_throughout(ptx, suite, tmp_path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    model, target = (make_model(tmp_path / name, seed=seed) for name, seed in (("m", 1), ("t", 2)))
    for folder in (model, target):  # room for 100 vectors
        config = BertConfig.from_pretrained(folder)
        config.max_position_embeddings = 128
        BertForMaskedLM(config).save_pretrained(folder)
    path = save_npy(tmp_path / "google.npy", vectors(100))
    key = ptx("import", path, "--model", model, "--suite", suite, "--task", "R1", "--json").lines[0]["key"]
    found = ptx("search", "--prompt", key, "--target", target, "--json").at("search")[0]
    assert stored(found).shape == (100, 16)
    scored = ptx("eval", "--prompt", f"{found['key']}", "--target", target, "--json")
    assert scored.code == 0, scored.err
    assert 0 <= scored.at("eval")[0]["accuracy"] <= 1
    assert ptx("predict", "--prompt", path, "--target", model, "name1").code == 0


def test_several_sources_of_several_tasks(ptx, tiny, imported) -> None:
    wanted = [("a", 16, "R1"), ("narrow", NARROW, "R1"), ("a", 16, "R2")]
    lines = [imported(vectors(3, d, i), model=model, task=task) for i, (model, d, task) in enumerate(wanted)]
    keys = ",".join(line["key"][:12] for line in lines)
    found = ptx("search", "--prompt", keys, "--target", tiny["b"], "--json").at("search")
    assert {line["task"]: line["sources"] for line in found} == {"R1": [tiny["a"], tiny["narrow"]], "R2": [tiny["a"]]}
    both = ",".join(line["key"] for line in found)
    assert len(ptx("eval", "--prompt", both, "--target", tiny["b"], "--json").at("eval")) == 2
    refused = ptx("search", "--prompt", keys, "--target", tiny["b"], "--method", "direct")
    assert (refused.code, "takes one source" in refused.err) == (2, True)
    longer = imported(vectors(4, NARROW), model="narrow")
    unequal = ptx("search", "--prompt", f"{lines[0]['key']},{longer['key']}", "--target", tiny["b"])
    assert "differ in length" in unequal.err
    other = imported(vectors(3, NARROW), "--layout", "prefix", model="narrow")
    mixed = ptx("search", "--prompt", f"{lines[0]['key']},{other['key']}", "--target", tiny["b"])
    assert "different layouts, postfix and prefix" in mixed.err
    assert "same --layout" in mixed.err


def test_a_found_prompt_is_a_source_once_it_is_imported(ptx, tiny, suite, imported) -> None:
    first = imported(vectors(3))
    found = ptx("search", "--prompt", first["key"], "--target", tiny["b"], "--json").at("search")[0]
    refused = ptx("search", "--prompt", found["key"], "--target", tiny["narrow"])
    assert refused.code == 1
    hint = refused.err.split("hint: import it first: ptx ")[1].split()
    again = ptx(*hint, "--json")
    assert again.code == 0, again.err
    assert ptx("search", "--prompt", again.lines[0]["key"], "--target", tiny["narrow"]).code == 0


def test_the_same_vectors_are_the_same_prompt(ptx, tiny, suite, tmp_path) -> None:
    args = ["--model", tiny["a"], "--suite", suite, "--task", "R1", "--layout", "postfix", "--json"]
    first = ptx("import", save_npy(tmp_path / "x.npy", vectors(3)), *args).lines[0]
    second = ptx("import", save_adapter(tmp_path / "x", vectors(3)), *args).lines[0]
    assert (second["key"], second["reused"]) == (first["key"], True)
    changed = ptx("import", save_npy(tmp_path / "x.npy", vectors(3, seed=1)), *args).lines[0]
    assert changed["key"] != first["key"]
    assert not ptx("import", tmp_path / "x", *args, "--force").lines[0]["reused"]
    assert ptx("cache", "verify").code == 0


def test_a_whole_folder_of_optiprompt(ptx, tiny, suite, tmp_path) -> None:
    for task in ("R1", "R2"):
        (tmp_path / "out" / task).mkdir(parents=True)
        save_npy(tmp_path / "out" / task / "prompt_vecs.npy", torch.cat([vectors(5), torch.full((5, 16), 99.0)]))
    pattern = "out/{task}/prompt_vecs.npy"
    done = ptx("import", pattern, "--model", tiny["a"], "--suite", suite, "--json")
    assert [line["task"] for line in done.lines] == ["R1", "R2"]
    assert "the first of 10 rows" in done.err
    assert done.lines[0]["std"] == pytest.approx(vectors(5).std(correction=0).item())  # not that of ten rows
    assert (ptx("import", pattern, "--model", tiny["a"], "--suite", suite, "--task", "R1")).code == 2
    nothing = ptx("import", "none/{task}.npy", "--model", tiny["a"], "--suite", suite)
    assert "no file none/{task}.npy for any task" in nothing.err


@pytest.mark.parametrize(("factor", "said"), [(1, None), (100, r"is \d{3} times"), (0.001, r"is 0\.00\d+ times")])
def test_another_scale_is_said_but_not_changed(ptx, tiny, suite, tmp_path, factor: float, said: str | None) -> None:
    path = save_npy(tmp_path / "x.npy", vectors(3) * factor)
    done = ptx("import", path, "--model", tiny["a"], "--suite", suite, "--task", "R1", "--json")
    assert torch.equal(stored(done.lines[0]), vectors(3) * factor)
    if said is None:
        assert "warning" not in done.err
    else:
        assert re.search(f"warning: R1: the prompt's standard deviation of .* {said} that of", done.err)


def test_prompt_files_in_eval_and_predict(ptx, tiny, suite, tmp_path) -> None:
    """They are what import would store: the same artifact, in every format."""
    folder = save_adapter(tmp_path / "adapter", vectors(3, 12), old=True)
    common = ["--suite", suite, "--tasks", "R1", "--json"]
    by_file = ptx("eval", "--prompt", folder, "--target", tiny["next"], *common)
    assert by_file.code == 0, by_file.err
    assert "peft, 3 vectors of width 12; layout prefix" in by_file.err
    key = ptx("import", folder, "--model", tiny["next"], "--suite", suite, "--task", "R1", "--json").lines[0]
    assert (key["key"], key["reused"]) == (by_file.at("tune")[0]["key"], True)
    by_key = ptx("eval", "--prompt", key["key"], "--target", tiny["next"], "--json")
    assert by_key.at("eval")[0]["key"] == by_file.at("eval")[0]["key"]
    assert ptx("predict", "--prompt", folder, "--target", tiny["next"], "name1", "--top", "1").code == 0
    assert ptx("eval", "--prompt", folder, "--target", tiny["next"], "--suite", suite).code == 2  # which task?


def bad_imports(tiny: dict[str, str], suite: str, folder: Path) -> list[tuple[list, int, str, str]]:
    """Arguments, exit code, a part of the error and of the hint."""
    good = str(save_npy(folder / "good.npy", vectors(3)))
    other = str(save_adapter(folder / "other", vectors(3, 12), base_model_name_or_path="org/llama"))
    same = ["--model", tiny["a"], "--suite", suite, "--task", "R1"]
    return [
        (["import", good], 2, "does not say which model", "add --model"),
        (["import", good, "--model", tiny["a"]], 2, "does not say which task", "add --task"),
        (["import", good, *same[:4], "--task", "R7"], 1, "unknown task 'R7'", "R1, R2"),
        (["import", good, "--model", "bert-nano", *same[2:]], 1, "unknown model", "ptx models"),
        (["import", good, "--model", tiny["narrow"], *same[2:]], 1, "width 16, the word embeddings", "ptx search"),
        (["import", "none.npy", *same], 1, "no file none.npy", "give the path"),
        (["import", good, *same, "--rows", "4"], 1, "has 3 rows, not 4", "smaller --rows"),
        (["import", good, *same, "--rows", "0"], 2, "--rows", "import --help"),
        (["import", good, *same, "--format", "magic"], 2, "magic", "import --help"),
        (["import", other, "--model", tiny["next"], *same[2:]], 1, "made for org/llama", "--unchecked"),
        (
            ["search", "--target", tiny["b"], "--prompt", "zz"],
            1,
            "no tune or search or portable or eval artifact zz",
            "ptx cache ls",
        ),
        (["search", "--target", tiny["b"], "--prompt", ","], 2, "names no artifact", "ptx cache ls"),
        (["search", "--target", tiny["b"], "--prompt", "x", "--sources", tiny["a"]], 2, "in place of", "leave"),
        (["encode"], 2, "name a --model, or prompts", "--model bert-micro"),
        (["encode", "--model", tiny["a"], "--prompt", "x"], 2, "name a --model, or prompts", "--model"),
        (["eval", "--target", tiny["b"], "--prompt", good, "--suite", suite], 2, "which task", "add --tasks"),
    ]


def test_bad_input_is_an_error_and_a_hint(ptx, tiny, suite, tmp_path) -> None:
    for args, code, error, hint in bad_imports(tiny, suite, tmp_path):
        result = ptx(*args)
        assert result.code == code, (args, result.err)
        assert result.out == ""
        said, _, hinted = result.err.partition("hint: ")
        if "in place of" not in error:
            assert error in said, args
        assert hint in hinted, args
    assert not (tmp_path / "cache" / "v1").exists()


def test_an_adapter_for_another_base_can_be_insisted_on(ptx, tiny, suite, tmp_path) -> None:
    args = ["--model", tiny["next"], "--suite", suite, "--task", "R1"]
    other = save_adapter(tmp_path / "other", vectors(3, 12), base_model_name_or_path="org/llama")
    assert ptx("import", other, *args, "--unchecked").code == 0
    same = save_adapter(tmp_path / "same", vectors(3, 12), base_model_name_or_path=tiny["next"])
    assert ptx("import", same, *args[2:]).code == 0  # the adapter names its model
    micro = save_adapter(tmp_path / "micro", vectors(3, 128), base_model_name_or_path="gpt2-micro")
    assert ptx("import", micro, "--task", "P17").code == 0


def test_prompts_of_a_model_that_has_changed(ptx, suite, tmp_path) -> None:
    from ptx.lms.models import _resolve

    model = make_model(tmp_path / "m", seed=1)
    path = save_npy(tmp_path / "x.npy", vectors(3))
    key = ptx("import", path, "--model", model, "--suite", suite, "--task", "R1", "--json").lines[0]["key"]
    make_model(tmp_path / "m", seed=2)
    _resolve.cache_clear()  # as in another process
    for args in (["search", "--prompt", key, "--target", model], ["export", key, "--to", "npy", "--output", "x"]):
        result = ptx(*args)
        assert result.code == 1
        assert "have changed since prompt" in result.err


def test_the_names_of_one_model() -> None:
    from ptx.lms.models import Model, resolve
    from ptx.prompts.imported import _same_model

    gpt2 = Model("gpt2-small", "", "", "")
    assert all(_same_model(name, gpt2) for name in ("gpt2", "openai-community/gpt2", "gpt2-small"))
    assert not any(_same_model(name, gpt2) for name in ("gpt2-medium", "org/gpt2x", "distilgpt2", "bert-micro"))
    hub = Model("google-bert/bert-base-cased", "", "", "")
    assert all(_same_model(name, hub) for name in ("bert-base-cased", "bert-base", "google-bert/bert-base-cased"))
    micro = resolve("bert-micro")
    assert _same_model(micro.path, micro)
    assert json.loads(Path(micro.path, "config.json").read_text())["hidden_size"] == 128


@pytest.mark.parametrize("named", ["hf:somebody/data", "sst2:hf:somebody/data"])
def test_a_card_asks_no_hub(ptx, tiny, suite, tmp_path, monkeypatch, named: str) -> None:
    from ptx.formats import card
    from ptx.suites import hub

    key = ptx("tune", "--model", tiny["a"], "--suite", suite, "--tasks", "R1", "--epochs", "1", "--json").lines[0][
        "key"
    ]
    assert ptx("export", key, "--to", "safetensors", "--output", "p.safetensors").code == 0
    page = card.beside(tmp_path / "p.safetensors")
    page.write_text(page.read_text().replace(f"suite: {suite}", f"suite: {named}"))
    asked: list[str] = []
    monkeypatch.setattr(hub, "read_dataset", lambda text: asked.append(text))
    for command in (["import", "p.safetensors"], ["eval", "--target", tiny["a"], "--prompt", "p.safetensors"]):
        done = ptx(*command)
        assert done.code == 1
        assert f"names a data set of the hub, {named}," in done.err.replace("\n", " ")
        assert f"--suite {named}" in done.err
    assert asked == []
    assert ptx("import", "p.safetensors", "--suite", suite, "--model", tiny["a"]).code == 0
