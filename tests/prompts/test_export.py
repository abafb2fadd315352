"""Exported prompts come back as they were, and PEFT itself computes with them what ptx computes."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_causal_model, make_llama, write_topics
from foreign import save_npy, save_safetensors
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from ptx.lms import models
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS

TOLERANCE = 1e-5  # of logits in float32; they are of the order of 1 to 10
PEFT_ASKS = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


def vectors(m: int, d: int) -> torch.Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(m))


@pytest.fixture
def key(ptx, suite, tmp_path):
    """The key of an imported prompt of m random vectors."""

    def make(model: str, prompt: torch.Tensor, layout: str = "prefix", task: str = "R1") -> str:
        path = save_safetensors(tmp_path / "prompt", {"x": prompt})
        args = ["--model", model, "--suite", suite, "--task", task, "--layout", layout, "--json"]
        return ptx("import", path, *args).lines[0]["key"]

    return make


def by_ptx(name: str, prompt: torch.Tensor, subjects: list[str], layout: str) -> torch.Tensor:
    model = load_model(resolve(name), "cpu")
    rows = model.rows(LAYOUTS[layout], subjects, prompt_length=len(prompt))
    return torch.cat([model.logits(model.collate([row]), prompt[None]) for row in rows])


@torch.inference_mode()
def by_peft(base: str, adapter: Path, subjects: list[str]) -> tuple[torch.Tensor, PreTrainedTokenizerBase, Any]:
    """As the card says: texts begin with a space and get no special tokens."""
    from peft import PeftModel

    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(network, adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    inputs = [tokenizer(f" {s}", add_special_tokens=False, return_tensors="pt") for s in subjects]
    logits = torch.cat(
        [model(input_ids=i["input_ids"], attention_mask=i["attention_mask"]).logits[:, -1] for i in inputs]
    )
    return logits, tokenizer, model


@PEFT_ASKS
@pytest.mark.parametrize("family", ["gpt2-micro", "llama"])
def test_peft_gives_the_logits_of_ptx(ptx, key, tmp_path, family: str) -> None:
    name = family if family == "gpt2-micro" else str(make_llama(tmp_path / "llama"))
    prompt = vectors(5, 128 if family == "gpt2-micro" else 16) * 0.3
    adapter = tmp_path / "adapter"
    done = ptx("export", key(name, prompt), "--to", "peft", "--output", adapter, "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["card"] == str(adapter / "README.md")
    subjects = ["name1", "name2 word3", "word7"]
    ours = by_ptx(name, prompt, subjects, "prefix")
    theirs, tokenizer, model = by_peft(resolve(name).path, adapter, subjects)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=TOLERANCE)
    ids = [tokenizer(f" {s}", add_special_tokens=False)["input_ids"] for s in subjects]
    width, last = max(map(len, ids)), [len(i) - 1 + prompt_rows(model) for i in ids]
    padded = torch.tensor([i + [0] * (width - len(i)) for i in ids])
    mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i in ids])
    with torch.inference_mode():
        batch = model(input_ids=padded, attention_mask=mask).logits[range(len(ids)), last]
    torch.testing.assert_close(batch, ours, rtol=0, atol=TOLERANCE)  # padded on the right
    assert not torch.allclose(ours, by_ptx(name, prompt, subjects, "postfix"), atol=0.01)
    leading = 1 if family == "llama" else 0
    assert model.active_peft_config.num_virtual_tokens == 5 + leading
    assert model.active_peft_config.token_dim == prompt.shape[1]
    assert ("begin with" in done.err) == bool(leading)
    if leading:  # why: PEFT by itself would put the prompt before <s>, and that is another input
        from peft import PeftModel

        bare = save_adapter_like(adapter, tmp_path / "bare", prompt)
        other = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(name), bare).eval()
        with torch.inference_mode():
            before = other(
                **{k: v for k, v in tokenizer(" name1", return_tensors="pt").items() if k != "token_type_ids"}
            )
        assert not torch.allclose(before.logits[:, -1], ours[:1], atol=0.01)
    back = ptx("import", adapter, "--json")
    assert back.code == 0, back.err
    assert torch.equal(load_file(Path(back.lines[0]["path"]) / "prompt.safetensors")["prompt"], prompt)


def prompt_rows(model: Any) -> int:
    return model.active_peft_config.num_virtual_tokens


def save_adapter_like(adapter: Path, folder: Path, prompt: torch.Tensor) -> Path:
    """The same adapter without the vector for <s>."""
    folder.mkdir()
    config = json.loads((adapter / "adapter_config.json").read_text()) | {"num_virtual_tokens": len(prompt)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_safetensors(folder / "adapter_model.safetensors", {"prompt_embeddings": prompt})
    return folder


@pytest.mark.parametrize("layout", ["prefix", "postfix"])
def test_the_card_for_vllm_builds_the_input_of_ptx(ptx, key, tmp_path, layout: str) -> None:
    """The snippet runs, and the model computes from its embeddings what ptx computes (vLLM itself is not asked)."""
    name = str(make_llama(tmp_path / "llama"))
    prompt = vectors(5, 16)
    assert ptx("export", key(name, prompt, layout), "--to", "vllm", "--output", "prompt.pt").code == 0
    code = Path("prompt.pt.md").read_text().split("```python\n")[1].split("```")[0].replace("Dante", "name1 word2")
    space: dict = {}
    exec(code, space)
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(name)(inputs_embeds=space["prompt_embeds"][None]).logits[:, -1]
    torch.testing.assert_close(logits, by_ptx(name, prompt, ["name1 word2"], layout), rtol=0, atol=TOLERANCE)


@PEFT_ASKS
def test_the_card_for_peft_runs(ptx, key, tmp_path, capsys) -> None:
    assert ptx("export", key("gpt2-micro", vectors(5, 128)), "--to", "peft", "--output", "adapter").code == 0
    exec(Path("adapter/README.md").read_text().split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out.strip()


FILES = {
    "safetensors": lambda path: load_file(path)["prompt"],
    "npy": lambda path: torch.from_numpy(np.load(path)),
    "optiprompt": lambda path: torch.from_numpy(np.load(path))[:5],
    "vllm": lambda path: torch.load(path, weights_only=True),
    "koboldai": lambda path: torch.from_numpy(np.load(io.BytesIO(zipfile.ZipFile(path).read("tensor.npy")))),
    "peft": lambda path: load_file(path / "adapter_model.safetensors")["prompt_embeddings"],
}


@pytest.mark.parametrize("to", FILES)
def test_round_trips(ptx, tiny, suite, key, tmp_path, to: str) -> None:
    """Export, look at it with the library it is for, import: the same key, with no word about model, task or layout,
    where the model's folder is here."""
    prompt = vectors(5, 12)
    mine = key(tiny["next"], prompt)
    done = ptx("export", mine, "--to", to, "--output", tmp_path / "deep" / "out")
    assert done.code == 0, done.err
    path = tmp_path / "deep" / "out"
    assert torch.equal(FILES[to](path), prompt)
    Path("next").symlink_to(tiny["next"])
    back = ptx("import", path, "--json")
    assert back.code == 0, back.err
    assert (back.lines[0]["key"], back.lines[0]["reused"]) == (mine, True)
    assert back.lines[0]["layout"] == "prefix"
    left = [p.name for p in path.parent.iterdir()]
    assert left == ["out"] if to == "peft" else sorted(left) == ["out", "out.md"]
    first = path.read_bytes() if path.is_file() else (path / "adapter_model.safetensors").read_bytes()
    again = ptx("export", mine, "--to", to, "--output", path)
    assert again.code == 1
    assert "exists already" in again.err
    assert "--force" in again.err
    assert ptx("export", mine, "--to", to, "--output", path, "--force").code == 0
    assert first == (path.read_bytes() if path.is_file() else (path / "adapter_model.safetensors").read_bytes())


def test_optiprompts_ten_rows(ptx, tiny, key) -> None:
    assert ptx("export", key(tiny["a"], vectors(3, 16), "postfix"), "--to", "optiprompt", "--output", "p.npy").code == 0
    rows = np.load("p.npy")
    assert rows.shape == (10, 16)
    assert rows.dtype == np.float32
    assert np.array_equal(rows[:3], vectors(3, 16).numpy())
    assert not rows[3:].any()
    assert "--num_vectors 3" in Path("p.npy.md").read_text()
    back = ptx("import", "p.npy", "--model", tiny["a"], "--json")
    assert back.lines[0]["vectors"] == 3  # the card knows better than the rule of five
    too_long = ptx("export", key(tiny["a"], vectors(11, 16)), "--to", "optiprompt", "--output", "q.npy")
    assert "at most 10 vectors" in too_long.err
    assert not Path("q.npy").exists()


def test_what_a_format_cannot_express_is_refused(ptx, tiny, key, tmp_path) -> None:
    masked, behind = key(tiny["a"], vectors(3, 16)), key(tiny["next"], vectors(3, 12), "postfix")
    llama = key(str(make_llama(tmp_path / "llama")), vectors(3, 16))
    for chosen, to, error, hint in (
        (masked, "peft", "for causal LMs only", "--to safetensors"),
        (masked, "koboldai", "for causal LMs only", "--to safetensors"),
        (masked, "vllm", "is no causal LM", "--to safetensors"),
        (behind, "peft", "this one stands behind it ([X] [V] [Y] .)", "--layout prefix"),
        (behind, "koboldai", "stands behind it", "--layout prefix"),
        (llama, "koboldai", "begin with a special token", "--to peft"),
        ("zz", "npy", "no tune or search or eval artifact zz", "ptx cache ls"),
    ):
        result = ptx("export", chosen, "--to", to, "--output", "out")
        assert result.code == 1, (to, result.err)
        assert error in result.err
        assert hint in result.err.partition("hint: ")[2]
    assert not Path("out").exists()
    assert not list(Path().glob(".out*"))
    assert ptx("export", masked, "--to", "word", "--output", "out").code == 2
    dry = ptx("export", masked, "--to", "npy", "--output", "out", "--dry-run")
    assert (dry.code, dry.out, Path("out").exists()) == (0, "", False)


def test_force_never_removes_what_is_not_an_export(ptx, tiny, key, tmp_path) -> None:
    mine = key(tiny["next"], vectors(3, 12))
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    for to in ("peft", "npy"):
        result = ptx("export", mine, "--to", to, "--output", home, "--force")
        assert result.code == 1, to
        assert "hint: choose another --output" in result.err
    assert (home / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    under = ptx("export", mine, "--to", "npy", "--output", tmp_path / "file" / "x.npy")
    assert "cannot write" in under.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_card_tells_the_whole_story(ptx, tiny, suite, tmp_path) -> None:
    from huggingface_hub import ModelCard

    common = ["--suite", suite, "--epochs", "1", "--json"]
    made = ptx("eval", "--sources", f"{tiny['a']},{tiny['b']}", "--target", tiny["narrow"], *common, "--tasks", "R1")
    (found,), (scored,) = made.at("search"), made.at("eval")
    assert ptx("export", found["key"], "--to", "npy", "--output", "p.npy").code == 0
    card = ModelCard.load("p.npy.md", ignore_metadata_errors=False)
    record = card.data.to_dict()["ptx"]
    narrow = resolve(tiny["narrow"])
    assert (record["model_digest"], record["tokenizer_digest"]) == (narrow.digest, narrow.tokenizer)
    assert (record["width"], record["vectors"], record["layout"], record["suite"], record["task"]) == (
        8, 5, "postfix", suite, "R1",
    )  # fmt: skip
    assert record["template"] == "[X] word1 word2 [Y] ."
    assert {s["model"]: s["key"] for s in record["sources"]} == {
        Path(line["model"]).name: line["key"] for line in made.at("tune")
    }
    assert record["method"] == "relative"
    assert record["matching_loss"] == found["matching_loss"]
    assert record["seed"] == 0
    assert record["settings"]["search"]["solver"] == "exact"
    assert record["settings"]["tune"]["epochs"] == 1
    assert record["train_facts"] == 24
    (evaluation,) = record["evaluations"]
    assert (evaluation["accuracy"], evaluation["split"]) == (scored["accuracy"], "test")
    assert card.data.eval_results[0].metric_value == scored["accuracy"]
    assert "Transferred from" in card.text
    # What the card said is kept by an import into an empty cache, and told again by the next export.
    fresh = ["--cache-dir", "elsewhere"]
    (line,) = ptx("import", "p.npy", "--model", tiny["narrow"], "--json", *fresh).lines
    assert "origin" not in line
    assert ptx("export", line["key"], "--to", "safetensors", "--output", "q", *fresh).code == 0
    again = ModelCard.load("q.md").data.to_dict()["ptx"]
    for name in ("method", "sources", "evaluations", "matching_loss", "settings", "sha256", "records_digest"):
        assert again[name] == record[name], name


def test_the_card_of_a_classification_prompt(ptx, tiny, tmp_path) -> None:
    topics = str(write_topics(tmp_path / "moods"))
    (line,) = ptx("tune", "--model", tiny["a"], "--suite", topics, "--epochs", "1", "--json").lines
    assert ptx("export", line["key"], "--to", "npy", "--output", "p.npy").code == 0
    text = Path("p.npy.md").read_text()
    assert "The answer is one of: France, Japan." in text
    assert "label_words:\n  - France\n  - Japan\n" in text
    assert "dev accuracy while tuning" in text
    assert ptx("import", "p.npy", "--model", tiny["a"]).code == 0
    Path("p.npy.md").unlink()
    assert ptx("import", "p.npy", "--model", tiny["a"], "--suite", topics).code == 0  # its only task


@pytest.mark.parametrize("to", ["npy", "safetensors", "peft", "vllm"])
def test_a_card_says_the_name_of_a_folder_and_not_where_it_is(ptx, tiny, suite, tmp_path, to: str) -> None:
    """That of the target and of the sources; two of one name are told apart. meta.json has the paths."""
    twin = shutil.copytree(tiny["a"], tmp_path / "twins" / Path(tiny["next"]).name)
    common = ["--suite", suite, "--tasks", "R1", "--layout", "prefix", "--epochs", "1", "--json"]
    found = ptx("search", "--sources", twin, "--target", tiny["next"], *common).at("search")[0]
    assert ptx("export", found["key"], "--to", to, "--output", "out").code == 0
    page = Path("out/README.md" if to == "peft" else "out.md").read_text()
    assert not [name for name in (str(twin), tiny["next"]) if name in page or str(Path(name).parent) + "/" in page]
    (source,) = re.findall(r"model: (twins/next)", page)
    assert json.loads(Path(found["path"], "meta.json").read_text())["labels"]["target"] == tiny["next"]
    assert re.search(r"^  model: (.*/next)$", page, flags=re.MULTILINE)
    assert re.search(rf"^Transferred from {source} by the method", page, flags=re.MULTILINE)
    assert ("  # where that model lies" in page) == (to in ("peft", "vllm"))


def test_where_the_model_of_a_card_is(ptx, tiny, suite, key, tmp_path, monkeypatch) -> None:
    """PEFT's own file says, an alias, a folder here, or the cache that it was made in; else whoever imports it does."""
    mine = key(tiny["next"], vectors(3, 12))
    for to in ("npy", "peft"):
        assert ptx("export", mine, "--to", to, "--output", to).code == 0
    for command in (["import", "npy"], ["inspect", "npy"], ["upgrade", "npy", "--to", tiny["b"]]):
        lost = ptx(*command, "--cache-dir", "elsewhere")
        assert (lost.code, lost.out) == (1, "")
        assert "error: npy is for a model that was in a folder next, and does not say where\n" in lost.err
        assert f"hint: add --{'from' if command[0] == 'upgrade' else 'model'} FOLDER" in lost.err
    elsewhere = ["--json", "--cache-dir", "elsewhere"]
    back = [ptx("import", "peft", *elsewhere), ptx("import", "npy", "--model", tiny["next"], *elsewhere)]
    assert ptx("inspect", "npy").code == 0
    back.append(ptx("import", "npy", "--json"))
    Path("ptx.toml").write_text(f'models.next = "{tiny["next"]}"\n')
    back.append(ptx("import", "npy", *elsewhere))
    Path("ptx.toml").unlink()
    Path("next").symlink_to(tiny["next"])
    back.append(ptx("import", "npy", *elsewhere))
    assert [result.lines[0]["key"] for result in back] == [mine] * 5, [result.err for result in back]


def test_a_card_that_contradicts(ptx, tiny, suite, key, tmp_path) -> None:
    mine = key(tiny["a"], vectors(3, 16), "postfix")
    assert ptx("export", mine, "--to", "npy", "--output", "p.npy").code == 0
    other_facts = tmp_path / "other"
    shutil.copytree(suite, other_facts)
    (other_facts / "R1" / "train.jsonl").write_text('{"sub_label": "name1", "obj_label": "Peru"}\n')
    (tmp_path / "a").symlink_to(tiny["a"])  # the folder that the card names
    for more, text in (
        (["--model", tiny["b"]], "has other files"),
        (["--layout", "prefix"], "with the layout postfix, not"),
        (["--task", "R2"], "is of a prompt for R1"),
        (["--suite", str(other_facts)], "tuned on other train and dev records"),
        (["--rows", "2"], "does not hold the 3 vectors"),
    ):
        result = ptx("import", "p.npy", *more)
        assert result.code == 1, more
        assert text in result.err
        assert "--unchecked" in result.err.partition("hint: ")[2]
        assert ptx("import", "p.npy", *more, "--unchecked").code == 0
    save_npy(Path("p.npy"), vectors(3, 16) + 1)
    assert "does not hold the 3 vectors that its card describes" in ptx("import", "p.npy").err
    wrong = ptx("eval", "--prompt", "p.npy", "--target", tiny["a"])
    assert "does not hold the 3 vectors" in wrong.err
    Path("p.npy.md").write_text(Path("p.npy.md").read_text().replace("vectors: 3", "vectors: many"))
    broken = ptx("import", "p.npy")
    assert "the card p.npy.md cannot be read: ptx: vectors: 'many' will not do" in broken.err
    assert "move the card away" in broken.err
    Path("p.npy.md").write_text("# My notes\n")
    assert "does not say which model" in ptx("import", "p.npy").err


def test_a_pinned_model_is_named_with_its_commit(ptx, suite, tmp_path, monkeypatch) -> None:
    """Other programs get the hub's name and the commit apart, and ptx finds them together again."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--org--next"
    make_causal_model(repo / "snapshots" / commit, width=12)
    (repo / "refs").mkdir()
    (repo / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    done = ptx("tune", "--model", "org/next@v1", "--suite", suite, "--tasks", "R1", "--layout", "prefix",
               "--epochs", "1", "--json")  # fmt: skip
    assert done.code == 0, done.err
    (tuned,) = done.at("tune")
    assert tuned["model"] == "org/next@v1"
    assert ptx("export", tuned["key"], "--to", "peft", "--output", "adapter").code == 0
    config = json.loads(Path("adapter/adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/next", commit)
    page = Path("adapter/README.md").read_text()
    assert "base_model: org/next\n" in page
    assert f'base, revision = "org/next", "{commit}"' in page
    assert "AutoTokenizer.from_pretrained(base, revision=revision)" in page
    back = ptx("import", "adapter", "--json")
    assert (back.code, back.lines[0]["model"]) == (0, "org/next@v1")
    Path("adapter/README.md").unlink()
    said = ["--suite", suite, "--task", "R1", "--json"]
    bare = ptx("import", "adapter", *said)
    assert bare.code == 0, bare.err
    assert bare.lines[0]["key"] == back.lines[0]["key"]
    assert ptx("import", "adapter", "--model", "org/next@v1", *said).lines[0]["key"] == back.lines[0]["key"]
    # what another commit's prompt is of is not this model
    (repo / "snapshots" / commit).rename(repo / "snapshots" / commit[::-1])
    (repo / "refs" / "v1").write_text(commit[::-1])
    models._resolve.cache_clear()
    other = ptx("import", "adapter", "--model", "org/next@v1", *said)
    assert other.code == 1
    assert f"was made for org/next@{commit}, not for org/next@v1" in other.err
