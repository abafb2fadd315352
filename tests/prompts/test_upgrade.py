"""`ptx upgrade`: a prompt follows its model, is measured there, and is written with what is to be expected of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNTRIES, FILLER, SUBJECTS, make_causal_model, make_causal_tokenizer
from foreign import save_adapter
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from ptx import api, formats
from ptx.formats import card
from ptx.lms.models import resolve
from ptx.transfer.forecast import Seen, forecast

PROMPT = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
QUICK = ("--candidates", "direct,relative:top_k=16,neighbours:words=2")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A causal LM of three layers, of which the second does little, as of layers that are worth pruning."""
    folder = tmp_path_factory.mktemp("upgrade") / "base"
    tokenizer = make_causal_tokenizer([*COUNTRIES, *FILLER, *SUBJECTS])
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=3, n_head=2, n_positions=32, initializer_range=0.5,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    for parameter in model.transformer.h[1].parameters():
        parameter.data *= 0.02
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def adapter(base: str, tmp_path: Path) -> Path:
    """As PEFT writes it."""
    return save_adapter(tmp_path / "adapter", PROMPT, base_model_name_or_path=base)


def noisy(model: Any, tokenizer: Any) -> None:
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 1e-3 * torch.randn_like(parameter)


def extended(model: Any, tokenizer: Any) -> None:
    tokenizer.add_tokens(["Atlantis", "Utopia", "<tool>"])
    model.resize_token_embeddings(len(tokenizer))


def pruned(model: Any, tokenizer: Any) -> None:
    del model.transformer.h[1]
    model.config.n_layer = 2


def half(model: Any, tokenizer: Any) -> None:
    model.to(torch.bfloat16)


def changed(base: str, folder: Path, change: Any) -> str:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    change(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def answers(
    name: str, prompt: torch.Tensor, words: list[str], subjects: list[str] = SUBJECTS, *, space: str = ""
) -> list[str]:
    """One forward pass a subject by transformers alone: vectors, subject, and of some words the likeliest. `space` is
    how the tokenizer spells one."""
    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(name)
    embed, ids = model.get_input_embeddings(), tokenizer.convert_tokens_to_ids([f"{space}{word}" for word in words])
    found = []
    with torch.no_grad():
        for subject in subjects:
            asked = f" {subject}" if space else subject
            text = embed(torch.tensor(tokenizer(asked, add_special_tokens=False)["input_ids"]))
            logits = model(inputs_embeds=torch.cat([prompt, text])[None]).logits[0, -1, ids]
            found.append(words[int(logits.argmax())])
    return found


def words_of(cache: Path) -> list[str]:
    """The anchors that some command has left in a cache; of several sets the smallest."""
    files = [path.read_text().split()[1:] for path in cache.glob("v1/anchors/*/words.csv")]
    return min(files, key=len)


def train_of(suite: str) -> list[dict[str, str]]:
    return [json.loads(text) for text in (Path(suite) / "R1" / "train.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("change", [noisy, extended, pruned, half])
def test_a_new_version_of_the_same_model_gets_the_same_prompt(ptx, suite, base, adapter, tmp_path, change: Any) -> None:
    """With all candidates; nobody says which is right."""
    target = changed(base, tmp_path / "new", change)
    done = ptx("upgrade", adapter, "--to", target, "--suite", suite, "--task", "R1", "--output", "out", "--json")
    assert done.code == 0, done.err
    (line,) = done.lines
    assert line["chosen"] == "direct"
    found = formats.read(tmp_path / "out")
    assert torch.equal(found.prompt, PROMPT)
    assert (found.base, found.format) == (target, "peft")
    words = words_of(tmp_path / "cache")
    before, after = answers(base, PROMPT, words), answers(target, found.prompt, words)
    train_subjects = list(dict.fromkeys(fact["sub_label"] for fact in train_of(suite)))
    agree = [a == b for subject, a, b in zip(SUBJECTS, before, after, strict=True) if subject in train_subjects]
    assert line["agreement"] == pytest.approx(sum(agree) / len(agree))
    assert line["inputs"] == len(agree)
    assert sum(a == b for a, b in zip(before, after, strict=True)) >= len(SUBJECTS) - (change is pruned)
    test = [json.loads(text) for text in (Path(suite) / "R1" / "test.jsonl").read_text().splitlines()]
    said = dict(zip(SUBJECTS, after, strict=True))
    assert line["accuracy"] == sum(said[fact["sub_label"]] == fact["obj_label"] for fact in test) / len(test)


def test_the_card_says_from_what_how_and_with_which_accuracy(ptx, suite, base, adapter, tmp_path) -> None:
    target = changed(base, tmp_path / "new", noisy)
    done = ptx("upgrade", adapter, "--to", target, "--suite", suite, "--task", "R1", *QUICK, "--json")
    (line,) = done.lines
    assert Path(line["path"]) == tmp_path / "adapter-for-new"
    assert "agreement 100.0 % on 24 inputs (its source's accuracy is not known)" in " ".join(done.err.split())
    assert "between decoders" not in done.err  # of ways that are only tried there is no need to warn
    record = card.read(tmp_path / "adapter-for-new")
    assert record is not None
    (source,) = record.sources
    assert (source["model"], source["model_digest"]) == ("base", resolve(base).digest)
    assert (record.model, record.model_digest, record.method) == ("new", resolve(target).digest, "auto")
    seen = {name: line[name] for name in ("agreement", "kappa", "confidence")}
    assert record.choice == {"chosen": "direct", **seen, "inputs": 24}
    assert [(of["split"], of["accuracy"]) for of in record.evaluations] == [("test", line["accuracy"])]
    page = Path(line["card"]).read_text()
    assert "Transferred from base by the method `auto`, without training on new." in page
    assert f"prompt {source['key'][:12]} for base, whose files have the digest {resolve(base).digest[:12]}" in page
    assert "`direct` agrees most with the source, beyond chance: on 100.0% of 24 inputs without labels" in page
    again = ptx("upgrade", adapter, "--to", target, "--suite", suite, "--task", "R1", *QUICK)
    assert again.code == 1
    assert "adapter-for-new exists already" in again.err
    assert ptx("upgrade", adapter, "--to", target, "--suite", suite, "--task", "R1", *QUICK, "--force").code == 0


def tuned(ptx: Any, suite: str, base: str, *more: str) -> dict[str, Any]:
    args = ["--model", base, "--suite", suite, "--tasks", "R1", "--epochs", "1", "--prompt-length", "3", "--json"]
    return ptx("tune", *args, *more).at("tune")[0]


def test_a_key_and_a_card_know_the_accuracy_at_home(ptx, suite, base, tmp_path) -> None:
    """What is to be expected is the same from a key, from the adapter that is exported of it, and from its card."""
    target = changed(base, tmp_path / "new", noisy)
    line = tuned(ptx, suite, base, "--layout", "prefix")
    assert ptx("export", line["key"], "--to", "peft", "--output", "mine").code == 0
    rows = []
    for n, named in enumerate([line["key"], "mine", "mine/README.md"]):
        done = ptx("upgrade", named, "--to", target, *QUICK, "--output", f"out{n}", "--json")
        assert done.code == 0, done.err
        rows += done.lines
        record = card.read(tmp_path / f"out{n}")
        assert record is not None
        assert record.sources[0]["model_digest"] == resolve(base).digest
        assert f"| {100 * rows[-1]['forecast']:.1f} % (" in (tmp_path / f"out{n}" / "README.md").read_text()
        assert "accuracy to expect" in done.err
    seen = Seen(rows[0]["agreement"], rows[0]["kappa"], rows[0]["confidence"], 24)
    expected = forecast(seen, line["dev_accuracy"], line["majority"], 8)
    for row in rows:
        figures = row["forecast"], row["forecast_low"], row["forecast_high"]
        assert figures == pytest.approx((expected.accuracy, expected.low, expected.high))
        assert (row["chosen"], row["task"], row["source"]) == ("direct", "R1", base)
    assert formats.read(tmp_path / "out1").prompt.equal(formats.read(tmp_path / "out0").prompt)


def test_what_was_found_for_a_model_is_upgraded_further(ptx, suite, base, adapter, tmp_path) -> None:
    first, second = (changed(base, tmp_path / name, change) for name, change in (("one", noisy), ("two", pruned)))
    done = ptx("upgrade", adapter, "--to", first, "--suite", suite, "--task", "R1", *QUICK, "--json")
    key = done.lines[0]["key"]
    for named in (key, "adapter-for-one"):
        again = ptx("upgrade", named, "--to", second, *QUICK, "--json", "--output", f"{named}-new")
        assert again.code == 0, again.err
        assert (again.lines[0]["source"], again.lines[0]["chosen"]) == (first, "direct")
        assert formats.read(tmp_path / f"{named}-new").prompt.equal(PROMPT)


def test_to_its_own_model_it_stays_as_it_is(ptx, suite, base, adapter) -> None:
    copy = shutil.copytree(base, "copy")
    done = ptx("upgrade", adapter, "--to", copy, "--suite", suite, "--task", "R1", "--json", "--check", "1")
    assert done.code == 0, done.err
    assert (done.lines[0]["chosen"], done.lines[0]["agreement"]) == ("direct", 1)


def test_the_bound_decides_whether_it_is_written(ptx, suite, base, adapter, tmp_path, tiny) -> None:
    far = str(make_causal_model(tmp_path / "far", width=12, seed=9))
    common = ["upgrade", adapter, "--to", far, "--suite", suite, "--task", "R1", *QUICK, "--output", "out"]
    low, high = ptx(*common, "--check", "0", "--dry-run"), ptx(*common, "--check", "0.99")
    assert low.code == 0
    assert high.code == 1
    text = " ".join(high.err.split())
    assert f"error: the prompt for R1 on {Path(far).name} has an agreement of" in text
    assert "(its source's accuracy is not known), below --check 0.99 hint: try --gradients" in text
    assert not Path("out").exists()
    anyway = ptx(*common, "--check", "0.99", "--anyway", "--json")
    assert anyway.code == 1
    assert anyway.lines[0]["agreement"] < 0.99
    assert formats.read(tmp_path / "out").prompt.shape[1] == 12
    assert ptx(*common, "--check", "0", "--force").code == 0
    line = tuned(ptx, suite, base)
    refused = ptx("upgrade", line["key"], "--to", far, *QUICK, "--check", "1")
    assert refused.code == 1
    said = " ".join(refused.err.split())
    assert f"error: the prompt for R1 on {Path(far).name} has an accuracy to expect of " in said
    assert ptx(*common, "--check", "1.5").code == 2


def test_a_target_of_another_width_and_family(ptx, suite, base, tiny) -> None:
    """PEFT has no such prompts for masked LMs, nor behind the text: what is written then is safetensors."""
    line = tuned(ptx, suite, base)
    done = ptx("upgrade", line["key"], "--to", tiny["narrow"], "--output", "out", "--json")
    assert done.code == 0, done.err
    (row,) = done.lines
    assert row["format"] == "safetensors"
    assert row["chosen"] != "direct"
    assert formats.read(Path("out")).prompt.shape[1] == 8
    refused = ptx("upgrade", line["key"], "--to", tiny["narrow"], "--format", "peft")
    assert "PEFT has such prompts for causal LMs only" in refused.err


def beheaded(model: Any, tokenizer: Any) -> None:
    """Without a layer that matters."""
    del model.transformer.h[0]
    model.config.n_layer = 2


@pytest.mark.parametrize("change", [noisy, pruned, beheaded])
def test_with_gradients(ptx, suite, base, adapter, tmp_path, change: Any) -> None:
    target = changed(base, tmp_path / "new", change)
    common = ["upgrade", adapter, "--to", target, "--suite", suite, "--task", "R1", *QUICK, "--json"]
    plain, steps = ptx(*common), ptx(*common, "--gradients", "--output", "out")
    assert steps.code == 0, steps.err
    (before,), (after,) = plain.lines, steps.lines
    assert (before["method"], after["method"]) == ("auto", "distil")
    assert [after[name] for name in ("chosen", "agreement")] == [before[name] for name in ("chosen", "agreement")]
    meta = json.loads((tmp_path / "cache" / "v1" / "search" / after["key"] / "meta.json").read_text())["metrics"]
    losses = {of["steps"]: of["loss"] for of in meta["history"]}
    assert losses[meta["selected_step"]] == min(losses.values()) <= losses[0]
    words, train = words_of(tmp_path / "cache"), [fact["sub_label"] for fact in train_of(suite)]
    wanted, *found = (answers(name, formats.read(path).prompt, words, train) for name, path in (
        (base, adapter), (target, Path(before["path"])), (target, tmp_path / "out")))  # fmt: skip
    agreements = [sum(a == b for a, b in zip(wanted, of, strict=True)) / len(train) for of in found]
    assert before["agreement"] == pytest.approx(agreements[0])
    assert (agreements[0] < 0.5) == (change is beheaded)
    if change is beheaded:  # there is something to learn; elsewhere the aim, which heeds the text too, can only differ
        assert meta["selected_step"] > 0
        assert losses[meta["selected_step"]] < losses[0]
        assert not formats.read(tmp_path / "out").prompt.equal(formats.read(Path(before["path"])).prompt)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "by the method `distil`, by gradient steps on unlabelled inputs on new." in page
    assert "Before these steps, of all ways" in page


def test_from_eight_bits_to_four(ptx, suite, tmp_path) -> None:
    """Of one model as llama.cpp quantizes it: what is asked are the numbers that the files stand for."""
    gguf_files = pytest.importorskip("gguf_files")
    for kind in ("Q8_0", "Q4_0"):
        gguf_files.write_pair(tmp_path / f"{kind}.gguf", tmp_path / kind, kind)
    prompt = 0.1 * torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    eight = save_adapter(tmp_path / "eight", prompt, base_model_name_or_path=str(tmp_path / "Q8_0.gguf"))
    four = str(tmp_path / "Q4_0.gguf")
    done = ptx("upgrade", eight, "--to", four, "--suite", suite, "--task", "R1", *QUICK, "--json", "--output", "out")
    assert done.code == 0, done.err
    (line,) = done.lines
    subjects = list(dict.fromkeys(fact["sub_label"] for fact in train_of(suite)))
    words, chosen = words_of(tmp_path / "cache"), formats.read(tmp_path / "out").prompt
    before = answers(str(tmp_path / "Q8_0"), prompt, words, subjects, space="Ġ")
    after = answers(str(tmp_path / "Q4_0"), chosen, words, subjects, space="Ġ")
    assert line["agreement"] == pytest.approx(sum(a == b for a, b in zip(before, after, strict=True)) / len(subjects))
    assert line["chosen"] == "direct"
    assert chosen.equal(prompt)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes, 8 bits"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes, 4 bits"),
        ({"quant_method": "gptq", "bits": 4}, "gptq, 4 bits"),
    ],
)
def test_quantized_models_are_named_before_anything_is_asked(ptx, suite, base, tmp_path, said, shown) -> None:
    """As source and as target; a copy that is not quantized can stand for the source."""
    small = tmp_path / "small"
    shutil.copytree(base, small)
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    adapter = save_adapter(tmp_path / "adapter", PROMPT, base_model_name_or_path=str(small))
    common = ["upgrade", adapter, "--suite", suite, "--task", "R1", *QUICK]
    source, target = ptx(*common, "--to", base), ptx(*common, "--to", str(small), "--from", base)
    for result in (source, target):
        text = " ".join(result.err.split())
        assert result.code == 1
        assert f"{small} is quantized ({shown}), which ptx does not read" in text.partition("hint: ")[0]
        assert "give the model that it was made from, or a GGUF file of it" in text.partition("hint: ")[2]
    assert "hint: name the model, or a copy of it, with --from; give" in " ".join(source.err.split())
    assert not (tmp_path / "cache" / "v1").exists()
    assert ptx(*common, "--to", base, "--from", base).code == 0


def test_nobody_says_what_an_adapter_is_for(ptx, base, adapter, tmp_path) -> None:
    """Then there are no subjects, no text and no labels: random words are asked, and it is said; or a file's lines."""
    target = changed(base, tmp_path / "new", noisy)
    done = ptx("upgrade", adapter, "--to", target, "--json", "--output", "out")
    assert done.code == 0, done.err
    assert "inputs: random shared words, as no subjects are known" in " ".join(done.err.split())
    (row,) = done.lines
    assert (row["task"], row["chosen"], "accuracy" in row) == ("any", "direct", False)
    Path("subjects.txt").write_text("\n".join(SUBJECTS[:7]))
    Path("texts.txt").write_text("word1 word2\n")
    more = ["--inputs", "subjects.txt", "--texts", "texts.txt", "--output", "other", "--json"]
    done = ptx("upgrade", adapter, "--to", target, *more)
    assert done.code == 0, done.err
    assert (done.lines[0]["inputs"], done.lines[0]["chosen"]) == (7, "direct")
    assert "random shared words" not in done.err
    assert ptx("predict", "--prompt", "other", "--target", target, "name1").code == 0


def test_a_copy_stands_for_a_base_that_is_not_to_be_had(ptx, suite, base, tmp_path) -> None:
    gone = save_adapter(tmp_path / "gone", PROMPT, base_model_name_or_path="/nowhere/base")
    target = changed(base, tmp_path / "new", noisy)
    common = ["upgrade", gone, "--to", target, "--suite", suite, "--task", "R1", *QUICK]
    refused = ptx(*common)
    assert refused.code == 1
    text = " ".join(refused.err.split())
    assert f"error: the model of {gone} is not to be had: " in text
    assert "hint: name the model, or a copy of it, with --from" in text
    done = ptx(*common, "--from", base, "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["source"] == base


def test_what_cannot_be_upgraded(ptx, suite, base, adapter, tmp_path, tiny) -> None:
    lora = save_adapter(tmp_path / "lora", PROMPT, peft_type="LORA", base_model_name_or_path=base)
    nameless = save_adapter(tmp_path / "nameless", PROMPT)
    line = tuned(ptx, suite, base, "--layout", "prefix")
    assert ptx("export", line["key"], "--to", "peft", "--output", "mine").code == 0
    assert ptx("export", line["key"], "--to", "words", "--output", "w.json").code == 0
    other = changed(base, tmp_path / "other", noisy)
    for args, code, message, hint in (
        ([lora], 1, "is a LORA adapter: weights inside the network", "PromptTuningConfig"),
        ([nameless], 2, "does not say which model it is for", "--from"),
        ([adapter, "--task", "R9"], 1, "unknown task 'R9'", "R1"),
        ([line["key"], "--task", "R2"], 2, "is for the task R1, not for R2", "leave --task out"),
        ([line["key"], "--from", other], 1, f"was made for {base}, not for {other}", "--from"),
        (["mine", "--from", other], 1, "has other files", "--from"),
        (["w.json"], 1, "holds words, which any model reads", "ptx import w.json"),
        (["nothing"], 1, "artifact nothing", "ptx cache ls"),
        ([adapter, "--task", "R1", "--to", "nano"], 1, "unknown model 'nano'", "ptx models"),
    ):
        to = [] if "--to" in args else ["--to", tiny["next"]]
        suites = [] if args[0] in ("mine", "w.json", "nothing") else ["--suite", suite]
        refused = ptx("upgrade", *args, *to, *suites)
        text = " ".join(refused.err.split())
        assert refused.code == code, (args, text)
        assert message in text.partition("hint: ")[0], args
        assert hint in text.partition("hint: ")[2], args


@pytest.mark.filterwarnings("ignore:the prompt for R1 does not travel to:UserWarning")
def test_from_python(ptx, suite, base, adapter, tmp_path) -> None:
    target = changed(base, tmp_path / "new", noisy)
    given: dict[str, Any] = {"to": target, "suite": suite, "task": "R1", "candidates": ["direct"]}
    frame = api.upgrade(adapter, output=tmp_path / "out", **given)
    args = ["--to", target, "--suite", suite, "--task", "R1", "--candidates", "direct", "--output", "again", "--json"]
    (line,) = ptx("upgrade", adapter, *args).lines
    assert frame.key.tolist() == [line["key"]]
    assert set(frame.columns) == {*line}
    assert formats.read(Path(frame.path[0])).prompt.equal(PROMPT)
    far = str(make_causal_model(tmp_path / "far", width=16, seed=9))
    with pytest.raises(api.PtxError, match="below --check 1") as raised:
        api.upgrade(adapter, **{**given, "to": far}, output=tmp_path / "not", check=1.0)
    assert raised.value.__notes__[0].startswith("hint: try --gradients")
    assert not (tmp_path / "not").exists()
