"""Tiny models and suites, made on the spot; commands run in a folder of their own."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub, which looks once

import dataclasses
import importlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

torch.set_num_threads(1)

# Property tests: few examples, the same ones every time; `HYPOTHESIS_PROFILE=torture` (or pytest's
# `--hypothesis-profile torture`) draws 10,000 new ones for every test that sets no number itself.
settings.register_profile("default", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("torture", max_examples=10_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Tuning as it was before its defaults were what learns on real models: for tests about something else that need prompts
# away from their start, which tiny random models do not learn to leave.
PAPER: dict[str, Any] = {"init": "random", "lr": 0.01, "schedule": "constant", "patience": 0}
PAPER_TUNING = [part for name, value in PAPER.items() for part in (f"--{name}", str(value))]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COUNTRIES = ["France", "Japan", "Peru", "Kenya", "Norway"]
FILLER = [f"word{i}" for i in range(60)]
SUBJECTS = [f"name{i}" for i in range(40)]
PIECES = [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"] + list("abcdefghijklmnopqrstuvwxyzABCDEFGKNJP.")


def make_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL, *words, *PIECES]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wrap = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=wrap)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]",
        mask_token="[MASK]",
    )  # fmt: skip


def make_causal_tokenizer(words: Sequence[str], side: str = "right") -> PreTrainedTokenizerFast:
    """Like GPT-2's: one special token, nothing around a text, no token for masks or padding."""
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(["<|endoftext|>", *words, *PIECES]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end, padding_side=side
    )


def make_causal_model(folder: Path, *, width: int = 16, seed: int = 0, side: str = "right") -> Path:
    """A randomly initialised one-layer causal LM in `folder`, whose tokenizer pads on `side`."""
    words = [*COUNTRIES, *FILLER, *SUBJECTS]
    random.Random(seed).shuffle(words)
    tokenizer = make_causal_tokenizer(words, side)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=width, n_layer=1, n_head=2, n_positions=32, initializer_range=0.5,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_llama(folder: Path) -> Path:
    """A random Llama of one layer whose tokenizer begins every input with <s>, as Llama's does."""
    tokenizer = make_causal_tokenizer(["<s>", *COUNTRIES, *FILLER, *SUBJECTS])
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    begin = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", begin)]
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, initializer_range=0.5, bos_token_id=begin, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_model(
    folder: Path, *, family: str = "bert", width: int = 16, seed: int = 0, words: Sequence[str] = ()
) -> Path:
    """A randomly initialised one-layer masked LM in `folder`, whose vocabulary is in an order of its own."""
    words = list(words or [*COUNTRIES, *FILLER, *SUBJECTS])
    random.Random(seed).shuffle(words)
    tokenizer = make_tokenizer(words)
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer), "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
        "pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.5,
    }  # fmt: skip
    if family == "albert":
        config = AlbertConfig(**shape, embedding_size=width, hidden_size=24, intermediate_size=32)
        network: AlbertForMaskedLM | BertForMaskedLM = AlbertForMaskedLM(config)
    else:
        network = BertForMaskedLM(BertConfig(**shape, hidden_size=width, intermediate_size=32))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models: `a` and `b` of one width, an ALBERT `narrow` whose embeddings are narrower than its hidden, and a
    causal LM `next`."""
    root = tmp_path_factory.mktemp("models")
    return {
        "a": str(make_model(root / "a", seed=1)),
        "b": str(make_model(root / "b", seed=2)),
        "narrow": str(make_model(root / "narrow", family="albert", width=8, seed=3)),
        "next": str(make_causal_model(root / "next", width=12, seed=4)),
    }


def write_suite(folder: Path, tasks: Sequence[str] = ("R1", "R2"), objects: Sequence[str] = tuple(COUNTRIES)) -> Path:
    """A suite in LAMA's layout: 24 train, 8 dev and 8 test facts a task."""
    relations = []
    for number, task in enumerate(tasks):
        rng = random.Random(number)
        (folder / task).mkdir(parents=True)
        facts = [{"sub_label": sub, "obj_label": rng.choice(objects)} for sub in SUBJECTS]
        for split, part in (("train", facts[:24]), ("dev", facts[24:32]), ("test", facts[32:])):
            (folder / task / f"{split}.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in part))
        relations.append({"relation": task, "label": f"relation {number}", "template": "[X] word1 word2 [Y] ."})
    (folder / "relations.jsonl").write_text("".join(json.dumps(relation) + "\n" for relation in relations))
    return folder


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_suite(tmp_path_factory.mktemp("suite") / "tiny"))


@pytest.fixture
def run(ptx: Any, tiny: dict[str, str], suite: str) -> Callable[..., Any]:
    """A command that moves a prompt of three vectors for one task from tiny models to another."""

    def run(command: str, source: str, target: str, *args: str) -> Any:
        models = [tiny.get(name, name) for name in source.split(",")]
        common = ["--suite", suite, "--epochs", "2", "--json", "--prompt-length", "3", "--tasks", "R1"]
        result = ptx(command, "--sources", ",".join(models), "--target", tiny[target], *common, *args)
        assert result.code == 0, result.err
        return result

    return run


def write_topics(
    folder: Path, *, words: str = '{ good = "France", bad = "Japan" }', text: str = "name{i} word{j}"
) -> Path:
    """A classification suite of two labels: 24 train, 8 dev and 8 test texts."""
    folder.mkdir(parents=True)
    rng = random.Random(0)
    for split, count in (("train", 24), ("dev", 8), ("test", 8)):
        rows = [
            {"text": text.format(i=i % 40, j=rng.randrange(60)) + f" {split}", "label": ("good", "bad")[i % 2]}
            for i in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite.toml").write_text(
        f'name = "moods"\ntext = "text"\nlabel = "label"\nwords = {words}\ntemplate = "[X] word1 [Y] ."\n'
        'files = { train = "train", dev = "dev", test = "test" }\n'
    )
    return folder


def set_version(monkeypatch: pytest.MonkeyPatch, name: str, version: int) -> None:
    """Let a stage be of another version."""
    module = importlib.import_module(f"ptx.stages.{name}")
    monkeypatch.setattr(module, "STAGE", dataclasses.replace(module.STAGE, version=version))


def one_file(name: str, content: bytes) -> Callable[[Path], None]:
    """Writes the payload of an artifact, as `Store.publish` asks for it."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


class Result:
    """What a command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    def at(self, stage: str) -> list[dict]:
        return [line for line in self.lines if line["stage"] == stage]


@pytest.fixture
def ptx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line through Typer's runner, in an empty folder."""
    from typer.testing import CliRunner

    from ptx.cli import app

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PTX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "1000")  # names of models are long paths here, and would be folded

    def run(*args: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, [str(arg) for arg in args], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run
