"""What is refused of a checkpoint, with the reason, and what is not."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result, make_model, write_suite
from families import make
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartForConditionalGeneration,
    BartForSequenceClassification,
    BartModel,
    T5EncoderModel,
)

from ptx.errors import PtxError
from ptx.lms.catalogue import describe, embedding_width
from ptx.lms.embeddings import load_embeddings, load_tokenizer, vocabulary_words
from ptx.lms.families import factor_by_class
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import Model, resolve

WEIGHTS = "model.safetensors"


def found(folder: Path) -> Model:
    """The model in a folder as it is now."""
    return resolve(str(folder))


def load(folder: Path) -> LanguageModel:
    return load_model(found(folder), "cpu")


def change(file: Path, **values: Any) -> None:
    """Set, or with None remove, entries of a JSON file."""
    content = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def change_weights(folder: Path, how: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    how(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_pickle_is_run(folder: Path, tmp_path: Path, zipped: bool) -> None:
    sprung = tmp_path / "sprung"
    tensors = {**load_file(folder / WEIGHTS), "trap": Trap(sprung)}
    (folder / WEIGHTS).unlink()
    file = folder / "pytorch_model.bin"
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped) if zipped else file.write_bytes(
        pickle.dumps(tensors)
    )
    with pytest.raises(PtxError, match="more than tensors, which ptx does not unpickle"):
        load(folder)
    with pytest.raises(PtxError):
        load_embeddings(found(folder), "cpu")
    assert not sprung.exists()
    torch.load(file, weights_only=False) if zipped else pickle.loads(file.read_bytes())  # the trap works
    assert sprung.exists()


def test_older_files_of_weights_load_as_tensors_only(folder: Path) -> None:
    expected = load(folder).matrix
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    model = found(folder)
    assert torch.equal(load_model(model, "cpu").matrix, expected)
    assert torch.equal(load_embeddings(model, "cpu").matrix, expected)
    assert embedding_width(model) == 16  # by the class, as there is no header


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_its_own_is_refused(folder: Path, file: str, ptx: Callable[..., Result]) -> None:
    change(folder / file, auto_map={"AutoModelForMaskedLM": "modeling.Mine"})
    (folder / "modeling.py").write_text("raise SystemExit('run')")
    result = ptx("tune", "--model", str(folder))
    assert result.code == 1
    assert f"brings code of its own (auto_map in {file}), which ptx never runs" in result.err
    assert "hint: choose a checkpoint that transformers reads by itself" in result.err


def test_an_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(PtxError, match="is an adapter of another model"):
        found(folder)


def shards(folder: Path) -> Path:
    """The weights in two files and an index."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for file in set(where.values()):
        save_file({name: tensors[name] for name in names if where[name] == file}, folder / file, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return index


def test_shards(folder: Path) -> None:
    """Whatever they are called they are part of the identity, and the matrix is found in them."""
    expected = load(folder).matrix
    parameters = describe(str(folder))["parameters"]
    shards(folder)
    before = found(folder).digest
    assert torch.equal(load(folder).matrix, expected)
    assert torch.equal(load_embeddings(found(folder), "cpu").matrix, expected)
    assert describe(str(folder))["parameters"] == parameters
    tensors = load_file(folder / "part-1.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, folder / "part-1.safetensors", {"format": "pt"})
    assert found(folder).digest != before


def test_an_index_cannot_lead_out_of_its_folder(folder: Path) -> None:
    index = shards(folder)
    change(index, weight_map={"a": "../outside.safetensors"})
    with pytest.raises(PtxError, match="names a file outside of its folder"):
        found(folder)
    change(index, weight_map={"a": "part-7.safetensors"})
    with pytest.raises(PtxError, match=r"lacks part-7.safetensors"):
        found(folder)


def test_missing_ignored_and_misshapen_weights(folder: Path) -> None:
    whole = load_file(folder / WEIGHTS)

    def without(name: str) -> None:
        save_file({key: value for key, value in whole.items() if key != name}, folder / WEIGHTS, {"format": "pt"})

    without("bert.encoder.layer.0.output.dense.weight")
    with pytest.raises(PtxError, match=r"lacks 1 of its weights \(bert.encoder.layer.0.output.dense.weight is"):
        load(folder)
    without("cls.predictions.transform.dense.weight")
    with pytest.raises(PtxError, match="has no trained language-model head"):
        load(folder)


def test_weights_that_would_be_ignored(folder: Path) -> None:
    extra = {"bert.encoder.layer.1.output.dense.weight": torch.zeros(16, 32)}
    change_weights(folder, lambda tensors: tensors.update(extra))
    with pytest.raises(PtxError, match="has 1 weights that BertForMaskedLM would ignore"):
        load(folder)


def test_misshapen_weights(folder: Path) -> None:
    change(folder / "config.json", intermediate_size=40)
    with pytest.raises(PtxError, match="cannot load"):
        load(folder)


def test_harmless_weights_are_tolerated(folder: Path) -> None:
    """What BERT's and RoBERTa's published checkpoints have beside the language model, and copies of tied weights."""

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["bert.pooler.dense.weight"] = torch.zeros(16, 16)
        tensors["cls.seq_relationship.bias"] = torch.zeros(2)
        tensors["bert.embeddings.position_ids"] = torch.arange(32)[None]
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()

    change_weights(folder, add)
    assert load(folder).matrix.shape[1] == 16


MASK = torch.ones(8, 8).tril()[None, None].bool()
TURNS = 10000.0 ** -(torch.arange(0, 8, 2) / 8)  # Llama's frequencies for heads of width 8


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("family", "name", "computed", "other"),
    [
        ("gpt2", "transformer.h.0.attn.bias", MASK, torch.ones(16)),
        ("gpt2", "h.0.attn.bias", MASK, MASK.transpose(2, 3)),
        ("bert-cased", "bert.encoder.layer.0.attention.bias", MASK, torch.ones(16)),
        ("gpt2", "transformer.h.0.attn.masked_bias", torch.tensor(-1e4), torch.ones(16)),
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", TURNS.bfloat16(), TURNS * 1.1),
        ("bert-cased", "bert.embeddings.position_ids", torch.arange(64)[None], torch.arange(64).flip(0)[None]),
        ("bert-cased", "bert.embeddings.token_type_ids", torch.zeros(1, 64), torch.ones(1, 64)),
        ("t5", "final_logits_bias", torch.zeros(1, 9), torch.ones(1, 9)),
    ],
)
def test_tables_are_ignored_if_they_hold_what_is_computed(
    family: str, name: str, computed: torch.Tensor, other: torch.Tensor, old: bool, tmp_path: Path
) -> None:
    """A learnt tensor of such a name would change answers, in either format of weights."""
    folder = make(family, tmp_path / family)
    expected = score(load(folder), "the king")

    def put(value: torch.Tensor) -> None:
        change_weights(folder, lambda tensors: tensors.update({name: value.contiguous()}))
        if old:
            torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
            (folder / WEIGHTS).rename(tmp_path / WEIGHTS)

    put(computed)
    torch.testing.assert_close(score(load(folder), "the king"), expected)
    if old:
        (tmp_path / WEIGHTS).rename(folder / WEIGHTS)
    put(other)
    with pytest.raises(PtxError, match=rf"has 1 weights that \w+ would ignore \({name}\)"):
        load(folder)


def test_a_bias_of_bart_counts(tmp_path: Path) -> None:
    """BART's class adds it to the scores, so that a checkpoint's own is used."""
    folder = make("bart", tmp_path / "bart")
    before = score(load(folder), "the king")
    bias = torch.randn(1, before.shape[1])
    change_weights(folder, lambda tensors: tensors.update(final_logits_bias=bias))
    torch.testing.assert_close(score(load(folder), "the king"), before + bias)


def test_a_head_of_its_own_counts_though_the_configuration_ties_it(tmp_path: Path) -> None:
    folder = make("gpt2", tmp_path / "gpt2")
    before = score(load(folder), "the king")
    change_weights(folder, lambda tensors: tensors.update({"lm_head.weight": 2 * tensors["transformer.wte.weight"]}))
    torch.testing.assert_close(score(load(folder), "the king"), 2 * before)


def test_a_head_that_only_the_configuration_unties(tmp_path: Path) -> None:
    folder = make("qwen2", tmp_path / "qwen2")
    change(folder / "config.json", tie_word_embeddings=False)
    with pytest.raises(PtxError, match="no trained language-model head") as caught:
        load(folder)
    assert "set tie_word_embeddings to true in its config.json" in caught.value.hint


@pytest.mark.parametrize("how", ["gptq", "bitsandbytes", "awq"])
def test_quantized_models_are_refused(how: str, tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "llama")
    change(folder / "config.json", quantization_config={"quant_method": how, "bits": 4})
    with pytest.raises(PtxError, match=rf"is quantized \({how}, 4 bits\), which ptx does not read") as caught:
        load(folder)
    assert f"the package {'bitsandbytes' if how == 'bitsandbytes' else 'gptqmodel'} runs" in caught.value.hint
    assert "or a GGUF file of it" in caught.value.hint
    assert "dequantize" in caught.value.hint
    assert len(load_embeddings(found(folder), "cpu").matrix)  # these are as they were
    change_weights(folder, lambda tensors: tensors.update(
        {"model.embed_tokens.weight": tensors["model.embed_tokens.weight"].to(torch.int8)}))  # fmt: skip
    with pytest.raises(PtxError, match="is quantized"):
        load_embeddings(found(folder), "cpu")


def test_fp8_weights_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    """Each 8 by 8 block of a matrix has a factor; without it the numbers would be noise."""
    folder = make("llama", tmp_path / "llama")
    factors: dict[str, torch.Tensor] = {}

    def stand_for(tensors: dict[str, torch.Tensor], *, packed: bool) -> None:
        for name in [name for name in tensors if "_proj" in name]:
            n, d = tensors[name].shape
            blocks = tensors[name].reshape(n // 8, 8, d // 8, 8)
            factors.setdefault(name, blocks.abs().amax((1, 3)) / 448)
            factor = factors[name][:, None, :, None]
            small = (blocks / factor).to(torch.float8_e4m3fn)
            if packed:
                tensors |= {name: small.reshape(n, d), f"{name}_scale_inv": factors[name]}
            else:
                tensors[name] = (small.float() * factor).reshape(n, d)

    change_weights(folder, lambda tensors: stand_for(tensors, packed=False))
    plain = score(load(folder), "the king")
    change_weights(folder, lambda tensors: stand_for(tensors, packed=True))
    change(folder / "config.json", quantization_config={"quant_method": "fp8", "weight_block_size": [8, 8]})
    torch.testing.assert_close(score(load(folder), "the king"), plain)
    change_weights(folder, lambda tensors: tensors.__delitem__("model.layers.1.mlp.up_proj.weight_scale_inv"))
    with pytest.raises(PtxError, match=r"lacks 1 of its weights \(model\.layers\.1\.mlp\.up_proj\.weight_scale_inv"):
        load(folder)


def test_a_damaged_matrix_stops_every_stage(folder: Path, suite: str, ptx: Callable[..., Result]) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        tensors["bert.embeddings.word_embeddings.weight"][3, 4] = float("nan")

    change_weights(folder, damage)
    for command in (["tune", "--model", folder], ["search", "--sources", folder, "--target", "bert-micro"]):
        result = ptx(*command, "--suite", suite)
        assert result.code == 1
        assert f"the word embeddings of {folder} hold values that are not finite" in result.err
    with pytest.raises(PtxError, match="not finite"):
        load_embeddings(found(folder), "cpu")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda matrix: matrix.mul_(1e20), r"have numbers up to [1-9.]+e\+20, with which float32 cannot compute"),
        (lambda matrix: matrix.mul_(1e-25), r"have numbers up to [1-9.]+e-25, with which float32 cannot compute"),
        (lambda matrix: matrix.zero_(), "have numbers up to 0, with which"),
        (lambda matrix: matrix[1:].copy_(matrix[1].clone().expand_as(matrix[1:])), "are the same for all words"),
        (lambda matrix: matrix.copy_(matrix[1] + 1e-7 * matrix), "are the same for all words"),
    ],
)
def test_word_embeddings_that_mean_nothing(folder: Path, how: Any, said: str) -> None:
    change_weights(folder, lambda tensors: how(tensors["bert.embeddings.word_embeddings.weight"]))
    for read in (lambda model: load_embeddings(model, "cpu"), lambda model: load_model(model, "cpu")):
        with pytest.raises(PtxError, match=f"the word embeddings of {folder} {said}"):
            read(found(folder))


def test_word_embeddings_of_any_trained_size_are_read(folder: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    for factor in (1e-5, 1e5, 1e5):
        change_weights(folder, lambda tensors: tensors.update({name: tensors[name] * factor}))  # noqa: B023
        load(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"num_attention_heads": 0}, {"base_model_pp_plan": [5]}, {"base_model_tp_plan": [5]}, {"dtype": 5},
        {"architectures": 5}, {"architectures": [5]}, {"pad_token_id": 10**9}, {"hidden_act": 5}, {"id2label": 5},
        {"model_type": ["bert"]}, {"sub_configs": 5}, {"num_hidden_layers": "1"}, {"quantization_config": 5},
    ],
)  # fmt: skip
def test_a_configuration_with_odd_values_is_refused(folder: Path, values: dict[str, Any], capfd) -> None:
    change(folder / "config.json", **values)
    with pytest.raises(PtxError) as raised:
        load(folder)
    assert str(folder) in raised.value.message
    assert raised.value.hint
    with pytest.raises(PtxError):
        factor_by_class(found(folder))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("bert", {"num_hidden_layers": 10**7}), ("bert", {"num_labels": 10**9}), ("bert", {"x": {"n_layer": 10**7}}),
        ("albert", {"num_hidden_layers": 10**7}), ("albert", {"inner_group_num": 10**7}),
    ],
)  # fmt: skip
def test_more_layers_than_tensors_are_refused_before_anything_is_built(
    tmp_path: Path, family: str, values: Any
) -> None:
    folder = make_model(tmp_path / "model", family=family)
    change(folder / "config.json", **values)
    began = time.monotonic()
    with pytest.raises(PtxError, match=r"config\.json says .*0,000, too many for .* tensors"):
        found(folder)
    assert time.monotonic() - began < 2


def test_layers_that_share_their_tensors_are_read(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", family="albert")
    change(folder / "config.json", num_hidden_layers=100)
    load(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_named(folder: Path, file: str) -> None:
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(PtxError, match=f"{file} is a pointer of Git LFS, not the file itself") as raised:
        found(folder)
    assert raised.value.hint.endswith("lfs pull")


@pytest.mark.parametrize("name", ["https://huggingface.co/org/name", "hf.co/org/name/tree/main", "hf:org/name"])
def test_an_address_of_the_hub_is_no_name(name: str) -> None:
    with pytest.raises(PtxError, match="is no name of a model") as raised:
        resolve(name)
    assert raised.value.hint == "give its hub id alone: org/name"


@pytest.mark.parametrize("family", ["bert-cased", "roberta", "albert", "electra", "gpt2", "opt", "gemma", "t5", "bart"])
def test_a_tied_matrix_under_the_heads_name_only(tmp_path: Path, family: str) -> None:
    folder = make(family, tmp_path / "model")
    plain = load(folder)
    answers, matrix = score(plain, "the king"), plain.matrix.clone()
    (head,) = (n for n, m in plain.network.named_modules() if m is plain.network.get_output_embeddings())
    tied = plain.network.get_output_embeddings().weight
    own = {name for name, value in load_file(folder / WEIGHTS).items() if torch.equal(value, tied)}
    assert len(own) == 1
    assert f"{head}.weight" not in own
    change_weights(folder, lambda tensors: tensors.update({f"{head}.weight": tensors.pop(own.pop())}))
    torch.testing.assert_close(score(load(folder), "the king"), answers, rtol=0, atol=0)
    assert torch.equal(load_embeddings(found(folder), "cpu").matrix, matrix)


def test_other_damaged_weights_are_noticed(folder: Path) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        tensors["bert.encoder.layer.0.output.dense.weight"][3, 4] = float("inf")

    change_weights(folder, damage)
    with pytest.raises(PtxError, match=r"answers with values that are not finite in torch\.float32"):
        load(folder)


def test_tuning_that_diverges_stops(tiny: dict[str, str], suite: str, ptx: Callable[..., Result]) -> None:
    result = ptx("tune", "--model", tiny["a"], "--suite", suite, "--lr", "1e30", "--epochs", "1")
    assert result.code == 1
    assert "diverged: the loss or prompt of epoch 1 is not finite" in result.err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e38"])
def test_rates_that_cannot_work(rate: str, ptx: Callable[..., Result]) -> None:
    result = ptx("tune", "--model", "bert-micro", "--lr", rate)
    assert result.code == 2
    assert f"--lr {float(rate)} is not between 0 and 1e+30" in result.err


def test_a_search_that_finds_nothing_stops(tiny: dict[str, str], suite: str, ptx: Callable[..., Result]) -> None:
    """From a prompt of zeros: it has no direction, and Eq. 6 would divide by its spread."""
    zeros = ["--init", "random", "--init-scale", "0", "--lr", "1e-300", "--epochs", "1"]
    result = ptx("search", "--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *zeros, "--json")
    assert result.code == 1
    assert f"the search gave {tiny['b']} a prompt for R1 that is not finite" in result.err
    assert all("error" in line for line in result.at("search"))


def beyond(folder: Path, tokens: list[str], *, special: bool, **roles: str) -> Path:
    """The model with more tokens than its matrix has rows."""
    rows = AutoConfig.from_pretrained(folder).get_text_config().vocab_size
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<unused{i}>" for i in range(rows - len(tokenizer))], special_tokens=True)
    tokenizer.add_tokens(tokens, special_tokens=special)
    for role, token in roles.items():
        setattr(tokenizer, role, token)
    tokenizer.save_pretrained(folder)
    assert max(AutoTokenizer.from_pretrained(folder).get_vocab().values()) == rows + len(tokens) - 1
    return folder


def test_an_ordinary_token_without_a_row_is_refused(folder: Path) -> None:
    beyond(folder, ["newword"], special=False)
    rows = load_file(folder / WEIGHTS)["bert.embeddings.word_embeddings.weight"].shape[0]
    expected = rf"numbers tokens up to {rows} \('newword'\); its word embeddings have {rows} rows only"
    with pytest.raises(PtxError, match=expected):
        load(folder)
    with pytest.raises(PtxError, match="numbers tokens"):
        load_embeddings(found(folder), "cpu")


@pytest.mark.parametrize(("family", "token"), [("gemma3", "<image_soft_token>"), ("llama", "▁<PRE>")])
def test_special_tokens_without_a_row_disturb_nothing(
    family: str, token: str, tmp_path: Path, ptx: Callable[..., Result]
) -> None:
    """Gemma 3 1B's, which its larger kin take for images, and Code Llama's. Words are as before, also of subjects that
    spell such a token; every stage runs."""
    folder = make(family, tmp_path / family)
    before = load(folder)
    words, logits = vocabulary_words(before.tokenizer), score(before, "the king")
    beyond(folder, [token], special=True)
    model = load(folder)
    assert vocabulary_words(model.tokenizer) == words
    torch.testing.assert_close(score(model, "the king"), logits)
    assert score(model, f"the {token} king").isfinite().all()
    with pytest.raises(PtxError, match=f"{token}' has no word embedding in"):
        model.rows(f"[X] {token} [Y]", ["a"], prompt_length=0)
    write_suite(tmp_path / "suite", ["R1"])
    common = ["--sources", "bert-micro", "--suite", tmp_path / "suite", "--epochs", "1", "--top-k", "all"]
    result = ptx("eval", "--target", folder, *common, "--json")
    assert result.code == 0, result.err
    assert ptx("inspect", result.at("search")[0]["key"]).code == 0


def score(model: LanguageModel, subject: str) -> torch.Tensor:
    return model.logits(model.collate(model.rows("[X] lives near [Y]", [subject], prompt_length=0)))


@pytest.mark.parametrize(("family", "role"), [("bert-cased", "mask"), ("gpt2", "pad"), ("llama", "bos")])
def test_special_tokens_that_inputs_are_made_of_need_a_row(family: str, role: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path / family)
    beyond(folder, ["<added>"], special=True, **{f"{role}_token": "<added>"})
    if role == "bos":
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"] = "<added>"
        added = next(t["id"] for t in tokenizer["added_tokens"] if t["content"] == "<added>")
        begin = {"id": "<added>", "ids": [added], "tokens": ["<added>"]}
        tokenizer["post_processor"]["special_tokens"] = {"<added>": begin}
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(PtxError, match=r"makes inputs with '<added>', its token \d+; its word embeddings have"):
        load(folder)


def test_a_masked_model_needs_a_mask(folder: Path) -> None:
    change(folder / "tokenizer_config.json", mask_token=None)
    with pytest.raises(PtxError, match="has no mask token"):
        load(folder)


def test_t5_needs_its_sentinels(tmp_path: Path) -> None:
    folder = make("t5", tmp_path / "t5")
    make_model(tmp_path / "bert")
    for file in folder.glob("*token*"):
        file.unlink()
    for file in (tmp_path / "bert").glob("*token*"):
        file.rename(folder / file.name)
    change(folder / "config.json", vocab_size=200)
    change_weights(folder, lambda tensors: tensors.update({"shared.weight": torch.randn(200, 16)}))
    with pytest.raises(PtxError, match="no sentinel <extra_id_0>"):
        load(folder)


def test_deberta_as_its_authors_publish_it(tmp_path: Path) -> None:
    """Its configuration does not say that the head has another name."""
    folder = make("deberta-v3", tmp_path / "deberta")
    expected = {name: value.clone() for name, value in load(folder).network.state_dict().items()}
    change(folder / "config.json", legacy=None, architectures=None)
    again = load(folder).network.state_dict()
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_bart_as_its_authors_publish_it(tmp_path: Path) -> None:
    """As the bare model: its head is the embedding matrix. A classifier made of it is refused."""
    folder = make("bart", tmp_path / "bart")
    expected = load(folder).network.state_dict()["lm_head.weight"]
    network = BartForConditionalGeneration.from_pretrained(folder)
    BartModel.from_pretrained(folder).save_pretrained(folder)
    bare = load(folder)
    assert torch.equal(bare.network.state_dict()["lm_head.weight"], expected)
    BartForSequenceClassification(network.config).save_pretrained(folder)
    with pytest.raises(PtxError, match="is a BartForSequenceClassification, which has no trained language-model head"):
        load(folder)


def test_half_of_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    folder = make("t5", tmp_path / "t5")
    T5EncoderModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(PtxError, match="is a T5EncoderModel"):
        load(folder)


def test_families_that_cannot_be_read_are_refused(folder: Path) -> None:
    """An encoder-decoder that fills no blanks, a "causal" LM that sees the whole input, one that mixes padding in."""
    tokenizer = load_tokenizer(str(folder))
    size = {"vocab_size": len(tokenizer), "d_model": 16}
    shape: dict[str, Any] = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    config = AutoConfig.for_model("pegasus", **size, **shape, encoder_attention_heads=2, decoder_attention_heads=2)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    with pytest.raises(PtxError, match="is a PegasusForConditionalGeneration"):
        load(folder)
    config = AutoConfig.for_model("xlnet", **size, n_layer=1, n_head=2, d_inner=8, initializer_range=0.4)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    with pytest.raises(PtxError, match="causal LM that looks ahead"):
        load(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8, "initializer_range": 0.4}
    AutoModelForMaskedLM.from_config(AutoConfig.for_model("fnet", vocab_size=len(tokenizer), **shape)).save_pretrained(
        folder
    )
    with pytest.raises(PtxError, match="answers otherwise when it is padded"):
        load(folder)


def test_a_tokenizer_that_needs_more_packages(folder: Path) -> None:
    """A SentencePiece model alone: converting it takes packages that ptx does not depend on."""
    for file in folder.glob("*token*"):
        file.unlink()
    (folder / "spiece.model").write_bytes(b"no model at all")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    with pytest.raises(PtxError) as caught:
        load_tokenizer(found(folder).path)
    assert "pip install sentencepiece protobuf tiktoken" in caught.value.hint
