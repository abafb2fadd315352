"""Reading on from kept keys and values gives what reading the whole gives, or is not done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import every_type
import families
import pytest
import torch
from conftest import SUBJECTS, make_causal_model, make_tokenizer
from families import WHOLE
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from ptx.config.tune import TuneConfig
from ptx.lms import kept
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.transfer.examples import Examples
from ptx.transfer.scoring import DevChoice, Questions, answer
from ptx.transfer.tuning import tune_prompts

M = 3
TEXTS = ["Peru", "the old king", "North sea island in the great lake", "sea", "Japan"]
# By distance (ALiBi), by position (learnt, with and without an offset; turned), scaled embeddings, shared heads.
READ_ON = ("gpt2", "opt", "gpt-neox", "llama", "qwen2", "gemma3", "xglm", "bloom", "mpt", "falcon", "gpt_neo", "phi3")
# States that are no keys and values (or not only), positions that are counted otherwise.
READ_WHOLE = ("mamba", "rwkv", "jamba", "recurrent_gemma", "bart", "openai-gpt")
CONFIGURED: dict[str, dict[str, Any]] = {"falcon": {"alibi": True}}


def make(name: str, folder: Path, dtype: str = "float32", **more: Any) -> LanguageModel:
    """A tiny random causal LM of a family or a type."""
    if name in families.FAMILIES and name != "bart":
        families.make(name, folder, **more)
    else:
        tokenizer = make_tokenizer(WHOLE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(every_type.SETTINGS, name, every_type.SETTINGS.get(name, {}) | CONFIGURED.get(name, {}))
            every_type.make("causal", name, tokenizer).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return LanguageModel(resolve(str(folder)), dtype=dtype)


@pytest.fixture
def small(tmp_path: Path) -> LanguageModel:
    return LanguageModel(resolve(str(make_causal_model(tmp_path / "small"))))


def inputs(model: LanguageModel, texts: list[str] = TEXTS, layout: str = "postfix") -> list[Row]:
    return model.rows(LAYOUTS[layout], texts, prompt_length=M)


def prompts(model: LanguageModel, count: int) -> Tensor:
    """One of its own for each input."""
    drawn = torch.randn(count, M, model.matrix.shape[1], generator=torch.Generator().manual_seed(1))
    return model.statistics[1] * drawn


def whole(model: LanguageModel, rows: list[Row], given: Tensor, tokens: Tensor | None = None) -> Tensor:
    return model.logits(model.collate(rows), given, tokens)


@contextmanager
def widths(model: LanguageModel) -> Iterator[list[tuple[int, ...]]]:
    """How many inputs and positions each pass of the network runs."""
    seen: list[tuple[int, ...]] = []

    def note(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        seen.append(tuple(given["inputs_embeds"].shape[:2]))

    with model.network.register_forward_pre_hook(note, with_kwargs=True):
        yield seen


@pytest.mark.parametrize("name", READ_ON)
def test_scores_and_gradients_are_those_of_the_whole(name: str, tmp_path: Path) -> None:
    """Also those of the plain network that is given the same text as tokens, for a prompt made of words."""
    model = make(name, tmp_path)
    rows = inputs(model)
    model.keep(rows)
    assert model.kept is not None
    assert len(model.kept.starts) == len(rows)
    given = prompts(model, len(rows)).requires_grad_()
    weights = torch.randn(len(rows), 1, generator=torch.Generator().manual_seed(2))
    with widths(model) as seen:
        both = model.scores(rows, given), whole(model, rows, given)
    found = [(scores.detach(), *torch.autograd.grad((weights * scores.square()).mean(), given)) for scores in both]
    assert seen == [(len(rows), M), (len(rows), max(len(row.ids) for row in rows))]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * other.abs().max().item())
    words = model.word_ids(["lives", "near", "war"])
    got = model.scores(rows, model.matrix[words].expand(len(rows), -1, -1), words)
    network = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    for row, scores in zip(rows, got, strict=True):
        with torch.no_grad():
            expected = network(torch.tensor([[*row.ids[: row.prompt_at], *words.tolist()]])).logits[0, -1, words]
        torch.testing.assert_close(scores, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", READ_WHOLE)
def test_a_network_that_cannot_read_on_reads_the_whole(name: str, tmp_path: Path) -> None:
    model = make(name, tmp_path)
    rows = inputs(model)
    given = prompts(model, len(rows))
    expected = whole(model, rows, given)
    model.keep(rows)
    assert model.kept is None
    assert torch.equal(model.scores(rows, given), expected)


def test_a_network_that_reads_on_otherwise_is_found_out(small: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one that loses the first token before the prompt."""
    read_alike = kept._read_alike
    monkeypatch.setattr(
        kept, "_read_alike", lambda network, of: [0 * states if len(of[0]) == 4 else states
                                                  for states in read_alike(network, of)]
    )  # fmt: skip
    small.keep(inputs(small))
    assert small.kept is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_kept_in_the_type_that_is_computed_in(dtype: str, tmp_path: Path) -> None:
    model = make("llama", tmp_path, dtype)
    rows = inputs(model)
    model.keep(rows)
    assert model.kept is not None
    assert {states.dtype for pair in model.kept.states for states in pair} == {getattr(torch, dtype)}
    given = prompts(model, len(rows))
    expected = whole(model, rows, given)
    torch.testing.assert_close(model.scores(rows, given), expected, rtol=0, atol=0.02 * expected.abs().max().item())


def test_not_a_byte_beyond_the_bound(small: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order given, each prefix once, without padding; the others go the whole way in the same batch."""
    rows = inputs(small, ["name1 name2 name3", "name4", "name4", "name5 name6", "name7 name8 name9", "name9"])
    of_token = 2 * 16 * 4  # one layer's keys and values in float32
    monkeypatch.setattr(kept, "LEAST", 6 * of_token + of_token // 2)
    monkeypatch.setattr(kept, "SHARE", 10**9)
    small.keep(rows)
    assert small.kept is not None
    assert [*small.kept.starts] == [rows[0].ids[:3], rows[1].ids[:1], rows[3].ids[:2]]
    assert sum(states.nbytes for pair in small.kept.states for states in pair) == 6 * of_token
    given = prompts(small, len(rows)).requires_grad_()
    with widths(small) as seen:
        found = small.scores(rows, given)
    assert sorted(seen) == [(2, 6), (4, M)]
    expected = whole(small, rows, given)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    one, other = (torch.autograd.grad(scores.square().mean(), given)[0] for scores in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


def test_the_bound_is_a_sixth_of_the_weights(small: LanguageModel) -> None:
    assert kept.bound(small.network) == 64 * 2**20
    small.network.lm_head.weight = torch.nn.Parameter(torch.empty(300 * 2**20, dtype=torch.float16))
    others = sum(weight.nbytes for name, weight in small.network.named_parameters() if name != "lm_head.weight")
    assert kept.bound(small.network) == (2 * 300 * 2**20 + others) // 6


def test_what_is_kept_is_replaced_and_freed(small: LanguageModel) -> None:
    rows = inputs(small, SUBJECTS[:4])
    small.keep(rows[:2])
    small.keep(rows[2:])
    assert small.kept is not None
    assert [*small.kept.starts] == [row.ids[:1] for row in rows[2:]]
    small.keep([])
    assert small.kept is None


def test_what_does_not_end_in_the_prompt_is_read_whole(small: LanguageModel, tiny: dict[str, str]) -> None:
    """As are other prompts than those that the inputs were made for, and inputs without one."""
    rows = inputs(small)
    other = [*inputs(small, layout="prefix"), *small.rows("[X] [V] word1 [Y] .", TEXTS, prompt_length=M)]
    small.keep(other)
    assert small.kept is None
    small.keep([*other, *rows])
    assert small.kept is not None
    assert len(small.kept.starts) == len(TEXTS)
    given = prompts(small, len(other))
    assert torch.equal(small.scores(other, given), whole(small, other, given))
    short = prompts(small, len(rows))[:, 1:]
    assert torch.equal(small.scores(rows, short), whole(small, rows, short))
    plain = small.rows("[X] [Y] .", TEXTS, prompt_length=0)
    assert torch.equal(small.scores(plain), small.logits(small.collate(plain)))
    masked = LanguageModel(resolve(tiny["a"]))
    masked.keep(inputs(masked))
    assert masked.kept is None


def test_inputs_wider_than_a_window_are_read_whole(tmp_path: Path) -> None:
    model = make("gemma3", tmp_path, sliding_window=8)
    rows = inputs(model)
    model.keep(rows)
    assert model.kept is not None
    fitting = [row for row in rows if len(row.ids) <= 8]
    assert 0 < len(fitting) < len(rows)
    assert [*model.kept.starts] == [row.ids[: row.prompt_at] for row in fitting]
    given = prompts(model, len(rows))
    expected = whole(model, rows, given)
    torch.testing.assert_close(model.scores(rows, given), expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("model_type", "more", "expected"),
    [
        ("llama", {}, sys.maxsize),
        ("mistral", {"sliding_window": 100}, 100),
        ("gpt_neo", {"window_size": 50}, 50),
        ("qwen2", {"sliding_window": 100, "use_sliding_window": False}, sys.maxsize),
        ("phi3", {"sliding_window": None, "original_max_position_embeddings": 70}, 70),
        ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 2.0, "low_freq_factor": 1.0,
                   "high_freq_factor": 4.0, "original_max_position_embeddings": 90}}, 90),
    ],
)  # fmt: skip
def test_windows_and_turning_points_of_configurations(model_type: str, more: dict[str, Any], expected: int) -> None:
    assert kept.reach(AutoConfig.for_model(model_type, **more).to_dict()) == expected


def test_the_same_calls_give_the_same_bytes(tmp_path: Path) -> None:
    folder = str(make_causal_model(tmp_path))
    found = []
    for _ in range(2):
        model = LanguageModel(resolve(folder))
        rows = inputs(model, SUBJECTS[:9])
        model.keep(rows)
        assert model.kept is not None
        found.append(
            [*(states for pair in model.kept.states for states in pair), model.scores(rows, prompts(model, 9))]
        )
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_kept_without_gradients_it_serves_where_there_are(small: LanguageModel) -> None:
    rows = inputs(small)
    with torch.inference_mode():
        small.keep(rows)
    assert small.kept is not None
    given = prompts(small, len(rows)).requires_grad_()
    small.scores(rows, given).sum().backward()
    assert given.grad is not None
    assert all(parameter.grad is None for parameter in small.network.parameters())


def examples(model: LanguageModel, name: str, texts: list[str]) -> Examples:
    rows = inputs(model, texts)
    return Examples(name, [(row, 7 + i) for i, row in enumerate(rows)], Questions(rows[:5], None, [7, 8, 9, 10, 11]))


def test_tuning_is_the_same_with_and_without(small: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [examples(small, "R1", SUBJECTS[:20]), examples(small, "R2", [f"{a} word1" for a in SUBJECTS[5:12]])]
    config = TuneConfig(prompt_length=M, epochs=3, batch_size=4, lr=0.05)
    with widths(small) as seen:
        ours = tune_prompts(small, tasks, config)
    assert sum(width != M for _, width in seen) == 5 + 3  # to compare, and to read the inputs
    assert small.kept is None
    monkeypatch.setattr(LanguageModel, "keep", lambda self, rows: None)
    theirs = tune_prompts(small, tasks, config)
    for one, other in zip(ours, theirs, strict=True):
        assert one.epoch == other.epoch
        torch.testing.assert_close(one.prompt, other.prompt, rtol=1e-3, atol=1e-3)
        for point, expected in zip(one.history, other.history, strict=True):
            loss, wanted = point.pop("train_loss"), expected.pop("train_loss")
            assert point == expected
            assert loss == wanted or loss == pytest.approx(wanted, rel=1e-4)


def test_inputs_of_several_prompts_are_kept_while_they_are_answered(small: LanguageModel) -> None:
    rows = inputs(small)
    questions = Questions(rows, None, None)
    one, other = (torch.randn(M, 16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    alone = [answer(small, [(questions, prompt)], top=3)[0] for prompt in (one, other)]
    with widths(small) as seen:
        together = answer(small, [(questions, one), (questions, other)], top=3)
    assert (2 * len(rows), M) in seen
    assert small.kept is None
    for found, expected in zip(together, alone, strict=True):
        assert found.places == expected.places
    with widths(small) as seen:
        answer(small, [(questions, one), (Questions(inputs(small, ["name9"]), None, None), other)])
    assert all(width > M for _, width in seen)  # nothing is asked twice


def test_a_choice_lets_go_of_what_was_kept_for_it(small: LanguageModel) -> None:
    rows = inputs(small)
    choice = DevChoice(small, [Questions(rows, None, [1] * len(rows))])
    small.keep(rows)
    choice.score([prompts(small, 1)[0]])
    assert small.kept is not None
    choice.chosen()
    assert small.kept is None


def test_whether_there_is_room_for_all(small: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prefix counts once; to the token."""
    rows = inputs(small, ["name1 name2 name3", "name4", "name4", "name5 name6"])
    of_token = 2 * 16 * 4  # one layer's keys and values in float32
    monkeypatch.setattr(kept, "SHARE", 10**9)
    monkeypatch.setattr(kept, "LEAST", 6 * of_token)
    assert small.keeps(rows)
    for most, whole_prefixes in ((6, True), (5, False)):
        monkeypatch.setattr(kept, "LEAST", most * of_token)
        vars(small).pop("_room", None)
        assert small.keeps(rows) == whole_prefixes
        small.keep(rows)
        assert small.kept is not None
        assert ({*small.kept.starts} == {kept.prefix(row) for row in rows}) == whole_prefixes


@pytest.mark.parametrize("name", READ_WHOLE)
def test_there_is_room_for_any_where_nothing_is_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LEAST", 0)
    model = make(name, tmp_path)
    assert model.keeps(inputs(model))
