"""Embedding layers that multiply what they look up (Gemma's): a prompt answers in ptx as in the program that it comes
from or goes to, on whichever side of the factor that program has it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result
from families import CAUSAL, FACTORS, bare, make
from foreign import VALID, save_npy, save_safetensors, save_torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from ptx.lms.embeddings import lead
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS

SUBJECTS = ["Peru", "the old king", "North sea island"]
SCALED = [name for name in FACTORS if name in CAUSAL]
PEFT_ASKS = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("factors")


@pytest.fixture(scope="module")
def made(root: Path) -> Callable[..., str]:
    """A model's folder; `plain` is one whose tokenizer puts nothing around a text, as if it were written for PEFT."""

    def folder(name: str, *, plain: bool = True, **more: Any) -> str:
        path = root / "-".join([name, str(plain), *map(str, more.values())])
        return str(path if path.exists() else make(name, path, bare() if plain else None, **more))

    return folder


@pytest.fixture
def brought(ptx: Run, suite: str) -> Callable[..., dict[str, Any]]:
    """The artifact of a file, imported for a model, and the messages."""

    def run(path: Path, model: str, layout: str = "prefix") -> dict[str, Any]:
        done = ptx("import", path, "--model", model, "--suite", suite, "--task", "R1", "--layout", layout, "--json")
        assert done.code == 0, done.err
        return done.lines[0] | {"err": done.err}

    return run


def stored(line: dict[str, Any]) -> torch.Tensor:
    return load_file(Path(line["path"]) / "prompt.safetensors")["prompt"]


def vectors(m: int, d: int = 16) -> torch.Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(m))


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def by_ptx(folder: str, prompt: torch.Tensor) -> torch.Tensor:
    model = load_model(resolve(folder), "cpu")
    rows = model.rows(LAYOUTS["prefix"], SUBJECTS, prompt_length=len(prompt))
    return torch.cat([model.logits(model.collate([row]), prompt[None]) for row in rows])


@torch.inference_mode()
def by_peft(folder: str, adapter: Path) -> torch.Tensor:
    from peft import PeftModel

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [
        tokenizer(lead(tokenizer) + s, add_special_tokens=False, return_tensors="pt")["input_ids"] for s in SUBJECTS
    ]
    return torch.cat([model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, -1] for ids in texts])


def peft_adapter(folder: str, prompt: torch.Tensor, out: Path, *, kind: str = "CAUSAL_LM") -> Any:
    """PEFT's own model with this prompt, which it has saved to `out`."""
    from peft import PromptTuningConfig, get_peft_model

    loader = AutoModelForCausalLM if kind == "CAUSAL_LM" else AutoModelForSeq2SeqLM
    network = loader.from_pretrained(folder)
    config = PromptTuningConfig(task_type=kind, num_virtual_tokens=len(prompt), num_attention_heads=2)
    model: Any = get_peft_model(network, config)
    weight: Any = model.get_parameter("prompt_encoder.default.embedding.weight")
    with torch.no_grad():
        weight[: len(prompt)] = prompt
    model.save_pretrained(str(out))
    return model.eval()


@PEFT_ASKS
@pytest.mark.parametrize("name", SCALED)
def test_to_peft_and_back(ptx, brought, made, tmp_path, name: str) -> None:
    """With the family's own tokenizer, so that BOS is among the vectors of the adapter."""
    folder = made(name, plain=False)
    prompt = vectors(5)
    key = brought(save_safetensors(tmp_path / "p", {"prompt": prompt}), folder)["key"]
    done = ptx("export", key, "--to", "peft", "--output", tmp_path / "adapter")
    assert done.code == 0, done.err
    ours = by_ptx(folder, prompt)
    close(by_peft(folder, tmp_path / "adapter"), ours)
    back = ptx("import", tmp_path / "adapter", "--json")
    assert back.code == 0, back.err
    close(by_ptx(folder, stored(back.lines[0])), ours)
    close(stored(back.lines[0]), prompt, 1e-6)
    wrong = save_safetensors(tmp_path / "adapter" / "adapter_model.safetensors", {"prompt_embeddings": vectors(6)})
    assert "does not hold the 5 vectors" in ptx("import", wrong.parent).err


@PEFT_ASKS
@pytest.mark.parametrize("name", SCALED)
def test_from_peft(brought, made, tmp_path, name: str) -> None:
    folder = made(name)
    peft_adapter(folder, vectors(5), tmp_path / "adapter")
    line = brought(tmp_path / "adapter", folder)
    close(by_ptx(folder, stored(line)), by_peft(folder, tmp_path / "adapter"))
    assert re.search(rf"divided by {FACTORS[name]:g}, which the embedding layer of \S+ multiplies by", line["err"])
    assert "warning" not in line["err"]


@PEFT_ASKS
@pytest.mark.parametrize("name", ["bart-scaled", "bart"])
def test_from_peft_of_an_encoder_decoder(brought, made, tmp_path, monkeypatch, name: str) -> None:
    """PEFT feeds the first half of the rows to the encoder, and the others to nothing."""
    folder = made(name)
    prompt = vectors(5)
    model = peft_adapter(folder, prompt, tmp_path / "adapter", kind="SEQ_2_SEQ_LM")
    assert load_file(tmp_path / "adapter" / "adapter_model.safetensors")["prompt_embeddings"].shape == (10, 16)
    line = brought(tmp_path / "adapter", folder)
    assert "layout prefix; the encoder's half of its rows; PEFT never uses the decoder's" in line["err"]
    lm = load_model(resolve(folder), "cpu")
    monkeypatch.setattr(lm, "frame", ([], []))  # PEFT puts its vectors before that, ptx behind it
    words = model.get_base_model().get_input_embeddings()
    for row, ours in zip(
        lm.rows(LAYOUTS["prefix"], SUBJECTS, prompt_length=5), by_ptx(folder, stored(line)), strict=True
    ):
        ids, start = torch.tensor([row.ids[5:]]), torch.tensor([[lm.decoder_start]])
        read = torch.cat([words(start), prompt[None], words(ids[:, :-1])], 1)  # by the decoder: see LanguageModel
        with torch.inference_mode():
            theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_inputs_embeds=read).logits
        close(ours, theirs[0, row.answer_at])


@PEFT_ASKS
def test_from_peft_of_t5(brought, made, tmp_path) -> None:
    folder = made("t5", plain=False)
    model = peft_adapter(folder, vectors(5), tmp_path / "adapter", kind="SEQ_2_SEQ_LM")
    prompt = stored(brought(tmp_path / "adapter", folder))
    lm = load_model(resolve(folder), "cpu")
    for row, ours in zip(lm.rows(LAYOUTS["prefix"], SUBJECTS, prompt_length=5), by_ptx(folder, prompt), strict=True):
        ids, fed = torch.tensor([row.ids[5:]]), torch.tensor([[lm.decoder_start, lm.blank]])
        with torch.inference_mode():
            theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=fed).logits[0, 1]
        close(ours, theirs)


@torch.inference_mode()
def by_network(folder: str, prompt: torch.Tensor, *, behind: bool) -> torch.Tensor:
    """The plain network given the vectors in place of its layer's output, or as rows of its matrix by their numbers."""
    network: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for subject in SUBJECTS:
        ids = tokenizer(lead(tokenizer) + subject, add_special_tokens=False, return_tensors="pt")["input_ids"]
        if behind:
            whole = torch.cat([prompt[None], network.get_input_embeddings()(ids)], 1)
            found.append(network(inputs_embeds=whole).logits[:, -1])
            continue
        unused = [i for i in range(20) if i not in ids[0]][: len(prompt)]
        matrix = network.get_input_embeddings().weight
        head = network.get_output_embeddings()
        if head.weight is matrix:  # tied: the head keeps its rows
            head.weight = torch.nn.Parameter(matrix.clone())
        before = matrix[unused].clone()
        matrix[unused] = prompt
        found.append(network(torch.cat([torch.tensor([unused]), ids], 1)).logits[:, -1])
        matrix[unused] = before
    return torch.cat(found)


# Whether a format's vectors stand behind the factor; the files are those of other programs.
SIDES = {
    "google.npy": False, "one.safetensors": False, "several.safetensors": True, "task_prompt": True, "16.pkl": True,
    "openprompt.ckpt": True, "whole.ckpt": True, "adapter": True, "old_adapter": True, "kobold.zip": True,
}  # fmt: skip


@pytest.mark.parametrize("file", SIDES)
def test_each_format_lives_on_its_side(brought, made, tmp_path, file: str) -> None:
    folder = made("gemma3")
    prompt = vectors(7)
    line = brought(VALID[file][0](tmp_path / file, prompt), folder)
    close(by_ptx(folder, stored(line)), by_network(folder, prompt, behind=SIDES[file]))
    assert ("divided by 4" in line["err"]) == SIDES[file]
    assert not torch.allclose(
        by_network(folder, prompt, behind=True), by_network(folder, prompt, behind=False), atol=0.01
    )


@pytest.mark.parametrize("to", ["peft", "vllm", "koboldai", "npy", "optiprompt", "safetensors"])
def test_out_and_in_again(ptx, brought, made, tmp_path, to: str) -> None:
    """A factor that is no power of two is where rounding shows."""
    folder = made("minicpm3", scale_emb=12 / math.pi)
    prompt = vectors(5)
    line = brought(save_safetensors(tmp_path / "p", {"prompt": prompt}), folder)
    assert ptx("export", line["key"], "--to", to, "--output", tmp_path / "out").code == 0
    card = (tmp_path / "out" / "README.md" if to == "peft" else tmp_path / "out.md").read_text()
    assert ("multiply it by 3.81971863, as the model's embedding layer does" in card) == (to in ("npy", "safetensors"))
    back = ptx("import", tmp_path / "out", "--model", folder, "--json")
    assert back.code == 0, back.err
    close(stored(back.lines[0]), prompt, 1e-6)
    close(by_ptx(folder, stored(back.lines[0])), by_ptx(folder, prompt))
    if to in ("npy", "safetensors", "optiprompt"):
        assert back.lines[0]["key"] == line["key"]


def test_the_card_for_vllm_builds_the_input_of_ptx(ptx, brought, made, tmp_path, monkeypatch) -> None:
    folder = made("gemma3", plain=False)
    key = brought(save_safetensors(tmp_path / "p", {"prompt": vectors(5)}), folder)["key"]
    assert ptx("export", key, "--to", "vllm", "--output", "prompt.pt").code == 0
    code = Path("prompt.pt.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace('"prompt.pt"', repr(str(tmp_path / "prompt.pt")))
    space: dict[str, Any] = {}
    monkeypatch.chdir(Path(folder).parent)
    exec(code.replace("Dante", SUBJECTS[1]), space)
    with torch.inference_mode():
        network = AutoModelForCausalLM.from_pretrained(folder)
        logits = network(inputs_embeds=space["prompt_embeds"][None]).logits[0, -1]
    close(logits, by_ptx(folder, vectors(5))[1])


def test_predict_eval_inspect_and_init_read_a_file_as_import_does(ptx, suite, brought, made, tmp_path) -> None:
    folder = made("gemma3")
    file = save_torch(tmp_path / "task_prompt", vectors(3))
    line = brought(file, folder)
    same = ["--target", folder, "Peru", "--top", "3", "--json"]
    assert ptx("predict", "--prompt", file, *same).lines == ptx("predict", "--prompt", line["key"], *same).lines
    tasks = ["--suite", suite, "--tasks", "R1", "--json"]
    assert ptx("eval", "--prompt", file, "--target", folder, *tasks).at("tune")[0]["key"] == line["key"]
    started = ptx("tune", "--model", folder, "--init", file, "--epochs", "1", *tasks)
    assert next(step["key"] for step in started.at("tune")) == line["key"], started.err
    looked = [ptx("inspect", named, "--model", folder, "--json").lines for named in (file, line["key"])]
    assert [row["norm"] for row in looked[0]] == [row["norm"] for row in looked[1]]


def test_the_factor_is_no_reason_to_doubt_a_prompt(brought, made, tmp_path) -> None:
    folder = made("minicpm3", scale_emb=50.0)
    words = load_model(resolve(folder), "cpu").matrix[10:15].clone()
    for path in (save_torch(tmp_path / "task_prompt", 50 * words), save_npy(tmp_path / "p.npy", words)):
        assert "warning" not in brought(path, folder, "postfix")["err"]
    line = brought(save_npy(tmp_path / "scaled.npy", 50 * words), folder, "postfix")
    assert "its embedding layer multiplies words by 50, and the vectors look as if they were already" in line["err"]
    line = brought(save_npy(tmp_path / "huge.npy", 50000 * words), folder, "postfix")
    assert "is it for this model?" in line["err"]


def test_a_class_that_transformers_cannot_make_is_an_error(ptx, suite, tmp_path) -> None:
    folder = make("gpt2", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {"n_head": 3}  # of 16 numbers
    (folder / "config.json").write_text(json.dumps(config))
    args = ["--model", folder, "--suite", suite, "--task", "R1"]
    refused = ptx("import", save_torch(tmp_path / "task_prompt", vectors(3)), *args)
    assert refused.code == 1
    assert "cannot make a network as config.json" in refused.err
    assert "ptx models" in refused.err.partition("hint: ")[2]
    assert ptx("import", save_npy(tmp_path / "p.npy", vectors(3)), *args).code == 0
