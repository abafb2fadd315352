"""Adapters as PEFT itself saves them, and OpenPrompt's mixed templates: read as they are meant, or refused with the
reason; weights beside a prompt are never left out without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import bare, make
from foreign import VECTORS, save_adapter, save_safetensors, save_torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ptx import formats
from ptx.errors import PtxError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),  # PEFT asks transformers so
    pytest.mark.filterwarnings("ignore:Setting .save_embedding_layers:UserWarning"),
]


def causal(folder: str, config: Any) -> Any:
    from peft import get_peft_model

    return get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)


def configs(**more: Any) -> dict[str, Any]:
    import peft

    n: dict[str, Any] = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 3, **more}
    mask: dict[str, Any] = {"cpt_token_ids": [1, 2, 3], "cpt_mask": [1, 1, 1], "cpt_tokens_type_mask": [1, 2, 3]}
    return {
        "prompt tuning": peft.PromptTuningConfig(**n),
        "p-tuning": peft.PromptEncoderConfig(**n, encoder_hidden_size=8),
        "p-tuning, LSTM": peft.PromptEncoderConfig(**n, encoder_hidden_size=8, encoder_reparameterization_type="LSTM"),
        "context": peft.CPTConfig(**n, **mask),
    }


@pytest.mark.parametrize("kind", ["prompt tuning", "p-tuning", "p-tuning, LSTM", "context"])
@pytest.mark.parametrize("safe", [True, False])
def test_what_peft_puts_before_the_input_is_what_is_read(tiny, tmp_path, kind: str, safe: bool) -> None:
    model = causal(tiny["next"], configs()[kind])
    model.save_pretrained(str(tmp_path), safe_serialization=safe)
    expected = model.eval().get_prompt(1)[0].detach()
    found = formats.read(tmp_path)
    torch.testing.assert_close(found.prompt, expected, rtol=1e-6, atol=1e-7)
    assert (found.layout, found.behind, found.base, found.beside) == ("prefix", True, tiny["next"], ())


def test_other_adapters_are_refused_for_what_they_are(tiny, tmp_path) -> None:
    import peft

    n: dict[str, Any] = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 3}
    for config, why, hint in (
        (peft.PrefixTuningConfig(**n), "a PREFIX_TUNING adapter: keys and values for every layer", "PromptEncoder"),
        (peft.LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True), "a LORA adapter: weights inside", "Prompt"),
        (
            peft.MultitaskPromptTuningConfig(**n, num_tasks=2, num_ranks=1),
            "a MULTITASK_PROMPT_TUNING adapter: one matrix for all tasks and factors for each",
            "get_prompt(1, torch.tensor([TASK]))[0].detach()",
        ),
    ):
        model = causal(tiny["next"], config)
        folder = tmp_path / str(config.peft_type)
        model.save_pretrained(str(folder))
        with pytest.raises(PtxError) as error:
            formats.read(folder)
        assert why in error.value.message
        assert hint in error.value.hint
    # The hint for several tasks leads to a file that is read.
    prompt = model.get_prompt(1, torch.tensor([1]))[0].detach()
    torch.save(prompt, tmp_path / "prompt.pt")
    assert torch.equal(formats.read(tmp_path / "prompt.pt").prompt, prompt)


def with_classifier(folder: str, out: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model

    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    get_peft_model(network, PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)).save_pretrained(str(out))


def with_head(folder: str, out: Path) -> None:
    causal(folder, configs(modules_to_save=["lm_head"])["prompt tuning"]).save_pretrained(str(out))


def with_new_words(folder: str, out: Path) -> None:
    model = causal(folder, configs()["prompt tuning"])
    model.resize_token_embeddings(model.config.vocab_size + 2)
    model.save_pretrained(str(out))


@pytest.mark.parametrize(
    ("save", "named"), [(with_classifier, "score"), (with_head, "lm_head"), (with_new_words, "wte")]
)
def test_weights_trained_beside_a_prompt(ptx, suite, tmp_path, save: Any, named: str) -> None:
    base = str(make("gpt2", tmp_path / "base", bare()))
    adapter = tmp_path / "adapter"
    save(base, adapter)
    others = sorted(load_file(adapter / "adapter_model.safetensors").keys() - {"prompt_embeddings"})
    assert any(named in name for name in others)  # PEFT has saved them
    task = ["--suite", suite, "--tasks", "R1"]
    for args in (
        ["import", adapter, "--model", base, *task[:2], "--task", "R1"],
        ["eval", "--prompt", adapter, "--target", base, *task],
        ["predict", "--prompt", adapter, "--target", base, "name1"],
        ["tune", "--model", base, "--init", adapter, *task],
    ):
        refused = ptx(*args)
        assert refused.code == 1, args
        assert f"was trained together with {', '.join(others)}" in refused.err
        assert "--unchecked" in refused.err.partition("hint: ")[2]
    done = ptx("import", adapter, "--model", base, *task[:2], "--task", "R1", "--unchecked", "-q")
    assert done.code == 0, done.err
    assert f"has other weights beside the prompt, which are left out: {', '.join(others)}" in done.err
    assert f"are left out: {', '.join(others)}" in ptx("inspect", adapter, "--model", base).err


def test_an_encoder_decoders_adapter_has_rows_for_both(tmp_path) -> None:
    """PEFT's default is two submodules; the logits are compared in test_factors.py."""
    both = save_adapter(tmp_path / "t5", VECTORS, task_type="SEQ_2_SEQ_LM", num_transformer_submodules=None)
    with pytest.raises(PtxError, match=r"7 vectors each for an encoder and a decoder, of width 6, .* \(7, 6\)"):
        formats.read(both)
    six: dict[str, Any] = {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 3}
    found = formats.read(save_adapter(tmp_path / "two", VECTORS[:6], **six, num_transformer_submodules=2))
    assert torch.equal(found.prompt, VECTORS[:3])
    assert "the encoder's half" in found.note
    found = formats.read(save_adapter(tmp_path / "one", VECTORS[:3], **six, num_transformer_submodules=1))
    assert torch.equal(found.prompt, VECTORS[:3])
    assert found.note == ""


MIXED = {  # as torch.save writes a MixedTemplate's state_dict, whole and in parts
    "alone": {"soft_embedding.weight": VECTORS},
    "whole": {"raw_embedding.weight": torch.ones(9, 6), "soft_embedding.weight": VECTORS},
    "model": {"prompt_model.template.soft_embedding.weight": VECTORS, "prompt_model.plm.head.weight": torch.ones(9, 6)},
    "trainer": {"state_dict": {"template.soft_embedding.weight": VECTORS}, "scale": torch.ones(1)},
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("write", [save_torch, save_safetensors])
def test_a_mixed_template_of_openprompt(ptx, suite, tmp_path, name: str, write: Any) -> None:
    """Its embedding has a row for "no soft token"."""
    if write is save_safetensors and name == "trainer":
        return
    path = write(tmp_path / name, MIXED[name])
    found = formats.read(path)
    assert torch.equal(found.prompt, VECTORS[1:])
    assert (found.behind, found.layout) == (True, None)
    base = str(make("bert-cased", tmp_path / "base", hidden_size=6))
    done = ptx("import", path, "--model", base, "--suite", suite, "--task", "R1", "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["vectors"] == 6
    assert "without the first row, which belongs to no token in OpenPrompt's mixed templates" in done.err
    others = {"whole": "raw_embedding.weight", "model": "prompt_model.plm.head.weight", "trainer": "scale"}
    assert ("left out" in done.err) == (name in others)
    assert others.get(name, "") in done.err
