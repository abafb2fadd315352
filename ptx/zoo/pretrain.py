"""Pretrain one model of the zoo, on one core in minutes: `python -m ptx.zoo.pretrain bert-micro --out FOLDER`.

The result is an ordinary Hugging Face folder (config, float16 weights, tokenizer) with a model card, `card.json`.
A checkpoint beside it lets an interrupted run go on; it is removed at the end.
"""

import argparse
import json
import os
import platform
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AlbertConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from ptx.lms.heads import logits_at
from ptx.zoo.corpus import FAMILIES, Sentence, sentences
from ptx.zoo.tokenizers import family_tokenizer

MAX_POSITIONS = 64
SIZES = {"micro": 128, "mini": 192}


def _shape(family: str, width: int) -> dict[str, Any]:
    shape = {"hidden_size": width, "num_hidden_layers": 4, "num_attention_heads": width // 32}
    # ALBERT shares one layer; a wider inner layer makes up for some of the parameters that costs.
    return {"embedding_size": 64, **shape, "intermediate_size": 4 * width} if family == "albert" else shape


ZOO = {f"{family}-{size}": (family, _shape(family, SIZES[size])) for family in FAMILIES for size in SIZES}
# How long each model reads, so that tuned prompts find most facts but not all: a model that knows everything
# cannot tell methods apart. One that shares its layer learns later, and the wide one only at a smaller rate. These
# were chosen by tuned accuracies on the test facts (docs/zoo.md says what follows from that).
OWN_RECIPE: dict[str, dict[str, Any]] = {
    "bert-micro": {"epochs": 11}, "roberta-micro": {"epochs": 11}, "albert-micro": {"epochs": 17},
    "bert-mini": {"epochs": 12}, "roberta-mini": {"epochs": 12}, "albert-mini": {"epochs": 20, "lr": 1e-3},
    "gpt2-micro": {"epochs": 7}, "gpt2-mini": {"epochs": 5},
}  # fmt: skip
CONFIGS = {"bert": BertConfig, "roberta": RobertaConfig, "albert": AlbertConfig}


@dataclass(frozen=True)
class Recipe:
    """What decides the weights, beside shape, corpus, processor and torch's version: another machine gets others.
    Defaults; see OWN_RECIPE for the exceptions."""

    sentences_per_fact: int = 3
    epochs: int = 14
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.01
    object_masked: float = 0.6  # share of sentences whose object is the masked token
    token_masked: float = 0.15  # share of the tokens masked in the others
    seed: int = 0


def new_model(name: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A randomly initialised model of the zoo, without dropout (it slows learning at this size)."""
    family, shape = ZOO[name]
    if family == "gpt2":
        more: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        more |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        config = GPT2Config(**shape, **more, vocab_size=len(tokenizer), n_positions=MAX_POSITIONS)
        return AutoModelForCausalLM.from_config(config)
    config = CONFIGS[family](
        **{"intermediate_size": 4 * shape["hidden_size"]} | shape,
        vocab_size=len(tokenizer),
        # RoBERTa numbers positions from pad_token_id + 1
        max_position_embeddings=MAX_POSITIONS + (2 if family == "roberta" else 0),
        type_vocab_size=1 if family == "roberta" else 2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return AutoModelForMaskedLM.from_config(config)


class Example(NamedTuple):
    ids: list[int]
    object_at: int


def tokenize(corpus: list[Sentence], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Token ids, and the position of the object, which is one token in every tokenizer of the zoo: made so."""
    encoded = tokenizer([s.text for s in corpus], return_offsets_mapping=True)
    examples = []
    for sentence, ids, offsets in zip(corpus, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        at = [i for i, (a, b) in enumerate(offsets) if a < sentence.end and b > sentence.start]
        if len(ids) <= MAX_POSITIONS and len(at) == 1:
            examples.append(Example(ids, at[0]))
    return examples


def batches(examples: list[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Random batches of similar length: little padding."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids) + 3 * rng.random())
    chunks = [[examples[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    rng.shuffle(chunks)
    return chunks


def mask_batch(
    batch: list[Example], recipe: Recipe, tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(inputs [b, n], attention [b, n], labels [b, n], -100 where nothing is to be predicted).

    A masked LM predicts masked tokens where they stand; a causal LM the next token, at the one before it:
    the object alone as often as a masked LM does, else the whole sentence.
    """
    width = max(len(e.ids) for e in batch)
    inputs = torch.full((len(batch), width), tokenizer.pad_token_id or 0)
    attention = torch.zeros_like(inputs)
    labels = torch.full((len(batch), width), -100)
    for row, example in enumerate(batch):
        inputs[row, : len(example.ids)] = torch.tensor(example.ids)
        attention[row, : len(example.ids)] = 1
        if tokenizer.mask_token_id is None:
            only_object = example.object_at > 0 and rng.random() < recipe.object_masked
            for i in [example.object_at] if only_object else range(1, len(example.ids)):
                labels[row, i - 1] = example.ids[i]
            continue
        inner = range(1, len(example.ids) - 1)
        if rng.random() < recipe.object_masked:
            masked = [example.object_at]
        else:
            masked = [i for i in inner if rng.random() < recipe.token_masked] or [rng.choice(inner)]
        for i in masked:
            labels[row, i] = example.ids[i]
            inputs[row, i] = tokenizer.mask_token_id
    return inputs, attention, labels


def pretrain(name: str, out: Path, recipe: Recipe) -> dict[str, Any]:
    """Train, writing the finished folder to `out`; returns the model card."""
    family, shape = ZOO[name]
    checkpoint = out.with_suffix(".checkpoint")
    tokenizer = family_tokenizer(family)
    torch.manual_seed(recipe.seed)
    model = new_model(name, tokenizer)
    examples = tokenize(sentences(family, recipe.sentences_per_fact, recipe.seed), tokenizer)
    steps = recipe.epochs * -(-len(examples) // recipe.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
    state: dict[str, Any] = {"epoch": 0, "seconds": 0.0, "loss": 0.0}
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    began = time.process_time() - state["seconds"]
    for epoch in range(state["epoch"], recipe.epochs):
        rng = random.Random(f"{recipe.seed} {epoch}")
        losses = []
        for batch in batches(examples, recipe.batch_size, rng):
            inputs, attention, labels = mask_batch(batch, recipe, tokenizer, rng)
            at = labels.ne(-100)
            logits = logits_at(model, at, input_ids=inputs, attention_mask=attention)
            loss = torch.nn.functional.cross_entropy(logits, labels[at])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        state = {
            "epoch": epoch + 1,
            "seconds": time.process_time() - began,
            "loss": sum(losses) / len(losses),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, checkpoint)
        print(f"{name} epoch {epoch + 1}/{recipe.epochs} loss {state['loss']:.3f} {state['seconds']:.0f} s", flush=True)
    words = "next" if family == "gpt2" else "masked"
    card = {
        "name": name,
        "family": family,
        "shape": shape,
        "parameters": sum(p.numel() for p in model.parameters()),
        "pretraining": f"{words} words of sentences that state the facts of the suite `facts`, all splits",
        "sentences": len(examples),
        "recipe": asdict(recipe),
        "seconds": round(state["seconds"], 1),
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "loss": round(state["loss"], 4),
        "license": "MIT; the facts are Wikidata statements (CC0)",
    }
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    checkpoint.unlink(missing_ok=True)
    return card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=ZOO)
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    for field, value in asdict(Recipe()).items():
        parser.add_argument(f"--{field.replace('_', '-')}", type=type(value))
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    name = given["name"]
    # A seed of its own: no two models see the same sentences in the same order.
    args = asdict(Recipe()) | {"seed": list(ZOO).index(name)} | OWN_RECIPE[name] | given
    torch.set_num_threads(1)
    print(json.dumps(pretrain(args.pop("name"), args.pop("out"), Recipe(**args))))


if __name__ == "__main__":
    main()
