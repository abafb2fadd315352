"""Prompts learned as words on several models, from the command line: made, used on other models, written and read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import COUNTRIES, FILLER, SUBJECTS, make_model, write_topics

from ptx import api
from ptx.formats import read_prompt, words
from ptx.lms.embeddings import load_embeddings
from ptx.lms.lm import load_model
from ptx.lms.models import resolve

# Tiny random models never learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")

SPACE = ["--space", "words"]
FILE = "prompt.words.json"


@pytest.fixture
def common(suite) -> list[str]:
    return ["--suite", suite, "--epochs", "2", "--json"]


@pytest.fixture
def tune(ptx, tiny, common):
    def run(*args: str, models: str = "a,narrow"):
        names = ",".join(tiny[name] for name in models.split(","))
        return ptx("tune", "--models", names, *SPACE, *common, *args)

    return run


def by_hand(prompt: words.Words, name: str) -> torch.Tensor:
    model = load_embeddings(resolve(name), "cpu")
    ids = model.tokenizer.get_vocab()
    vectors = torch.zeros(len(prompt.vectors), model.matrix.shape[1])
    for i, of in enumerate(prompt.vectors):
        for word, weight in of.words.items():
            vectors[i] += of.scale * weight * model.matrix[ids[word]]
    return vectors


def test_words_are_learned_and_go_to_any_model(ptx, tiny, tune, common) -> None:
    """The prompt of `search` is the weighted sum of the target's rows, and eval scores this one."""
    learned = tune()
    assert learned.code == 0, learned.err
    pair = ["--sources", f"{tiny['narrow']},{tiny['a']}", "--method", "portable"]
    for target in ("b", "next", "a"):
        found = ptx("search", *pair, "--target", tiny[target], *common)
        assert found.code == 0, found.err
        assert [line["key"] for line in found.at("portable")] == [line["key"] for line in learned.at("portable")]
        for line, own in zip(found.at("search"), found.at("portable"), strict=True):
            prompt = words.read(Path(own["path"]) / FILE)
            got = read_prompt(Path(line["path"]) / "prompt.safetensors")
            torch.testing.assert_close(got, by_hand(prompt, tiny[target]), rtol=1e-5, atol=1e-6)
            assert line["several"] == line["unknown"] == []
            assert line["sources"] == [tiny["narrow"], tiny["a"]]
        scored = ptx("eval", *pair, "--target", tiny[target], *common)
        assert [line["key"] for line in scored.at("search")] == [line["key"] for line in found.at("search")]
        keys = ",".join(line["key"] for line in learned.at("portable"))
        again = ptx(
            "eval", "--prompt", keys, "--target", tiny[target], "--anchors", scored.at("anchors")[-1]["key"], "--json"
        )
        assert again.code == 0, again.err
        assert [line["accuracy"] for line in again.at("eval")] == [line["accuracy"] for line in scored.at("eval")]


def by_chance_left(one: list[int], other: list[int]) -> float:
    """Kappa, counted pair by pair."""
    agreed = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    chance = sum(a == b for a in one for b in other) / len(one) ** 2
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def test_what_is_to_be_expected_is_told_from_what_all_sources_answer_with_it(ptx, tiny, suite, common) -> None:
    """Agreement with the mean of their answers, and the factor that each tells of the other, by plain loops."""
    pair = ["--sources", f"{tiny['a']},{tiny['narrow']}", "--method", "portable", "--target", tiny["b"]]
    common = [*common, "--epochs", "20", "--tasks", "R1"]
    result = ptx("search", *pair, "--forecast", *common)
    assert result.code == 0, result.err
    (learned,) = result.at("portable")
    (line,) = [of for of in result.at("search") if "agreement" in of]
    (plain,) = [of for of in result.at("search") if "agreement" not in of]
    assert read_prompt(Path(line["path"]) / "prompt.safetensors").equal(
        read_prompt(Path(plain["path"]) / "prompt.safetensors")
    )
    assert {of["model"] for of in result.at("answers")} == {tiny["a"], tiny["narrow"]}
    prompt = words.read(Path(learned["path"]) / FILE)
    meta = json.loads((Path(result.at("answers")[0]["path"]) / "meta.json").read_text())
    (key,) = [of["key"] for of in meta["parents"] if of["stage"] == "anchors"]
    known = (Path("cache/v1/anchors") / key / "words.csv").read_text().split()[1:]
    facts = [json.loads(text) for text in (Path(suite) / "R1" / "train.jsonl").read_text().splitlines()]
    subjects = list(dict.fromkeys(fact["sub_label"] for fact in facts))
    said = {name: probabilities(name, by_hand(prompt, name), subjects, known) for name in (*tiny.values(),)}
    mean = ((said[tiny["a"]] + said[tiny["narrow"]]) / 2).argmax(-1)
    agreement = (said[tiny["b"]].argmax(-1) == mean).double().mean().item()
    assert line["agreement"] == pytest.approx(agreement)
    home = {of.model: of.dev_accuracy or 0.0 for of in prompt.models}
    assert any(home.values())
    own = [said[tiny[name]].argmax(-1).tolist() for name in ("a", "narrow")]
    between = sum(one == other for one, other in zip(*own, strict=True)) / len(subjects)
    sure = {name: said[tiny[name]].amax(-1).mean().item() for name in tiny}
    misses = [home[tiny[name]] / (between * sure[name]) ** 0.5 for name in ("a", "narrow") if between]
    factor = min(max(sum(misses) / 2, 0.5), 1.0) if misses else 1.0
    assert line["calibration"] == pytest.approx(factor, rel=2e-3)  # of answers kept in float16
    answered = said[tiny["b"]].argmax(-1).tolist()
    p, kappa = sum(home.values()) / 2, by_chance_left(answered, mean.tolist())
    assert line["kappa"] == pytest.approx(kappa)
    assert line["confidence"] == pytest.approx(sure["b"], rel=1e-4)
    chance = sum(a == b for a in answered for b in mean.tolist()) / len(subjects) ** 2
    beyond = kappa > 1.96 * (chance / (1 - chance) / len(subjects)) ** 0.5
    told = line["calibration"] * (agreement * line["confidence"]) ** 0.5 if beyond else learned["majority"] / 2
    expected = min(max(told, p - 1 + agreement), p + 1 - agreement)
    assert line["forecast"] == pytest.approx(min(max(expected, line["forecast_low"]), line["forecast_high"]))
    assert line["majority_there"] == learned["majority"]
    assert "accuracy to expect of portable from" in result.err
    scored = ptx("eval", *pair, "--forecast", *common)
    assert scored.at("eval")[0]["forecast"] == line["forecast"]
    assert {row["method"] for row in ptx("table", "--json").lines} == {"floor", "portable+forecast"}
    assert ptx("export", line["key"], "--to", "words", "--output", "w.json").code == 0
    assert (Path("w.json")).read_bytes() == (Path(learned["path"]) / FILE).read_bytes()
    assert ptx("export", line["key"], "--to", "npy", "--output", "w.npy").code == 0


def probabilities(name: str, prompt: torch.Tensor, subjects: list[str], known: list[str]) -> torch.Tensor:
    """Among these words, one forward pass for each subject."""
    model = load_model(resolve(name), "cpu")
    ids = model.word_ids(known)
    rows = model.rows("[X] [V] [Y] .", subjects, prompt_length=len(prompt))
    with torch.no_grad():
        return torch.stack([model.logits(model.collate([row]), prompt[None])[0, ids] for row in rows]).softmax(-1)


def test_the_file_says_what_it_is(tiny, tune) -> None:
    learned = tune()
    known = set((Path(learned.at("anchors")[0]["path"]) / "words.csv").read_text().split())
    for line in learned.at("portable"):
        prompt = words.read(Path(line["path"]) / FILE)
        assert (prompt.task, prompt.layout, prompt.template) == (line["task"], "postfix", "[X] word1 word2 [Y] .")
        assert {of.model: of.digest for of in prompt.models} == {
            tiny[n]: resolve(tiny[n]).digest for n in ("a", "narrow")
        }
        scores = [of.dev_accuracy for of in prompt.models if of.dev_accuracy is not None]
        assert line["dev_accuracy"] == pytest.approx(sum(scores) / 2, abs=1e-4)
        assert len(prompt.vectors) == 5
        assert all(1 <= len(of.words) <= 8 for of in prompt.vectors)
        assert {word for of in prompt.vectors for word in of.words} <= known
        assert line["facts"] == 24


def test_the_order_of_models_changes_nothing_and_what_counts_does(tune, tiny) -> None:
    def key(*args: str, models: str = "a,narrow") -> str:
        result = tune("--dry-run", "--tasks", "R1", *args, models=models)
        assert result.code == 0, result.err
        return result.at("portable")[0]["key"]

    base = key()
    assert key(models="narrow,a") == key("--epochs", "2") == key("--device", "cpu") == base
    others = [
        key("--epochs", "3"), key("--batch-size", "8"), key("--prompt-length", "3"), key("--layout", "prefix"),
        key("--seed", "1"), key("--dtype", "bfloat16"), key("--dtype", f"{tiny['a']}=bfloat16"),
        key("--dtype", f"{tiny['narrow']}=bfloat16"), key(models="a,b"), key(models="a"), key(models="a,narrow,b"),
    ]  # fmt: skip
    assert len({base, *others}) == len(others) + 1


def test_words_of_a_file_are_the_only_ones_used(ptx, tiny, tune, common, tmp_path: Path) -> None:
    """For the sources alone: whatever the target, the prompt is one artifact."""
    (tmp_path / "list.txt").write_text("word1\nword2\nPeru\nword3\nnowhere\n")
    learned = tune("--anchors", "list.txt", "--tasks", "R1")
    (line,) = learned.at("portable")
    prompt = words.read(Path(line["path"]) / FILE)
    assert {word for of in prompt.vectors for word in of.words} <= {"word1", "word2", "word3", "Peru"}
    pair = ["--sources", f"{tiny['a']},{tiny['narrow']}", "--method", "portable", "--tasks", "R1", *common, "--dry-run"]
    for more, wanted in ((["--anchors", "list.txt"], True), ([], False)):
        for target in ("b", "next"):
            (own,) = ptx("search", *pair, "--target", tiny[target], *more).at("portable")
            assert (own["key"] == line["key"]) is wanted
            assert own["reused"] is wanted


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--models", "A,B"], "--models is for prompts of words"),
        (["--model", "A", "--anchors", "x"], "--anchors is for prompts of words"),
        (["--model", "A", "--models", "A,B", *SPACE], "name a --model, or several with --models"),
        ([], "name a --model, or several with --models"),
        (["--models", "A,B", *SPACE, "--lr", "0.1"], "--space words has no --lr"),
        (["--models", "A,B", *SPACE, "--init", "random"], "--space words has no --init"),
        (["--models", "A,C", *SPACE], "two are one, by equal files"),
    ],
)
def test_what_cannot_be_is_refused(ptx, tiny, suite, tmp_path: Path, args: list[str], wanted: str) -> None:
    shutil.copytree(tiny["a"], tmp_path / "copy")
    names = {"A": tiny["a"], "B": tiny["b"], "A,B": f"{tiny['a']},{tiny['b']}", "A,C": f"{tiny['a']},./copy"}
    result = ptx("tune", *(names.get(arg, arg) for arg in args), "--suite", suite)
    assert result.code != 0
    assert wanted in result.err
    assert "hint: " in result.err


def test_portable_prompts_are_no_sources(ptx, tiny, tune, common) -> None:
    key = tune("--tasks", "R1").at("portable")[0]["key"]
    result = ptx("search", "--prompt", key, "--target", tiny["b"])
    assert (result.code, "is a portable prompt, which any model reads without a search" in result.err) == (1, True)
    tuned = ptx("tune", "--model", tiny["a"], "--tasks", "R1", *common).at("tune")[0]["key"]
    result = ptx("search", "--prompt", tuned, "--target", tiny["b"], "--method", "portable")
    assert (result.code, "learns a prompt of its own on all sources" in result.err) == (2, True)


def test_a_file_needs_neither_source_nor_tokenizer(ptx, tiny, suite, common, tmp_path: Path) -> None:
    """Exported, carried elsewhere, and imported for a model that was made later: the same predictions as there."""
    sources = [str(make_model(tmp_path / name, seed=seed)) for name, seed in (("one", 11), ("two", 12))]
    later = str(tmp_path / "later")
    make_model(Path(later), width=8, seed=13, words=[*COUNTRIES, *FILLER[:30], *SUBJECTS])
    pair = ["--sources", ",".join(sources), "--method", "portable", "--tasks", "R1", *common]
    scored = ptx("eval", *pair, "--target", later)
    assert scored.code == 0, scored.err
    (line,), (search,) = scored.at("portable"), scored.at("search")
    assert search["several"]
    assert all(word in FILLER[30:] for word in search["several"])
    said = f"words that are several tokens, whose mean they become, on later: {len(search['several'])} ("
    assert said in scored.err
    done = ptx("export", line["key"], "--to", "words", "--output", "out.json", "--json")
    assert (done.code, done.lines[0]["format"]) == (0, "words")
    assert (tmp_path / "out.json").read_bytes() == (Path(line["path"]) / FILE).read_bytes()
    of_search = ptx("export", search["key"], "--to", "words", "--output", "again.json")
    assert of_search.code == 0, of_search.err
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "out.json").read_bytes()

    for name in sources:
        shutil.rmtree(name)
    elsewhere = ["--cache-dir", "elsewhere", "--json"]
    brought = ptx("import", "out.json", "--model", later, *elsewhere)
    assert brought.code == 0, brought.err
    assert brought.lines[0]["several"] == search["several"]
    assert f"words that are several tokens, whose mean they become: {len(search['several'])} (" in brought.err
    shared = scored.at("anchors")[-1]["path"]
    again = ptx("eval", "--prompt", brought.lines[0]["key"], "--target", later, "--anchors", shared, *elsewhere)
    assert again.code == 0, again.err
    of_file = ptx("eval", "--prompt", "out.json", "--target", later, "--anchors", shared, *elsewhere)
    predictions = [
        (Path(result.at("eval")[0]["path"]) / "predictions.jsonl").read_text() for result in (scored, again, of_file)
    ]
    assert predictions[0] == predictions[1] == predictions[2]
    asked = ["--target", later, "--anchors", shared, "--top", "3", "--json"]
    answers = [
        ptx("predict", "name1", "name2", "--prompt", named, *asked, "--cache-dir", where).lines
        for named, where in (("out.json", "elsewhere"), (search["key"], "cache"), (line["key"], "cache"))
    ]
    assert answers[0] == answers[1] == answers[2]
    card = ptx("export", brought.lines[0]["key"], "--to", "npy", "--output", "x.npy", "--cache-dir", "elsewhere")
    assert card.code == 0, card.err
    text = (tmp_path / "x.npy.md").read_text()
    assert f"by the method `portable`, without training on {Path(later).name}" in text


def test_the_card_of_a_portable_prompt_names_its_sources(ptx, tiny, common, tmp_path: Path) -> None:
    pair = ["--sources", f"{tiny['a']},{tiny['narrow']}", "--method", "portable", "--tasks", "R1", *common]
    key = ptx("search", *pair, "--layout", "prefix", "--target", tiny["b"]).at("search")[0]["key"]
    assert ptx("export", key, "--to", "npy", "--output", "x.npy").code == 0
    text = (tmp_path / "x.npy.md").read_text()
    assert "Transferred from a and narrow by the method `portable`" in text
    assert "layout: prefix" in text
    shown = ptx("inspect", key, "--json")
    assert (shown.code, "not all of the source's prompts" in shown.err) == (0, False)


def test_any_prompt_is_written_as_words_and_what_that_keeps_is_said(ptx, tiny, common, tmp_path: Path) -> None:
    key = ptx("tune", "--model", tiny["a"], "--tasks", "R1", *common).at("tune")[0]["key"]
    done = ptx("export", key, "--to", "words", "--output", "w.json", "--json")
    assert done.code == 0, done.err
    prompt = words.read(tmp_path / "w.json")
    (model,) = prompt.models
    assert (model.model, prompt.task, len(prompt.vectors)) == (tiny["a"], "R1", 5)
    line = done.lines[0]
    assert model.dev_accuracy == pytest.approx(line["as_words"], abs=1e-4)
    said = f"scores {line['as_words']:.1%} on 8 dev facts of {tiny['a']}, in place of {line['dev_accuracy']:.1%}"
    assert said in done.err
    meta = json.loads((Path(ptx("cache", "show", key, "--quiet").out.strip()) / "meta.json").read_text())
    assert line["dev_accuracy"] == meta["metrics"]["dev_accuracy"]
    refused = ptx("export", key, "--to", "words", "--output", "w.json")
    assert (refused.code, "w.json exists already" in refused.err) == (1, True)
    assert ptx("export", key, "--to", "words", "--output", "w.json", "--force", "--dry-run").code == 0
    back = ptx("import", "w.json", "--model", tiny["b"], "--json")
    assert back.code == 0, back.err


def test_a_file_says_which_task_but_not_which_model(ptx, tiny, tune, tmp_path: Path) -> None:
    path = Path(tune("--tasks", "R1").at("portable")[0]["path"]) / FILE
    result = ptx("import", path)
    assert (result.code, "does not say which model it is for" in result.err) == (2, True)
    text = path.read_text().replace('"scale": ', '"scale": -', 1)
    (tmp_path / "bad.json").write_text(text)
    for command in (
        ["import", "bad.json", "--model", tiny["b"]],
        ["predict", "x", "--prompt", "bad.json", "--target", tiny["b"]],
    ):
        result = ptx(*command)
        assert (result.code, "bad.json: vectors 1.scale" in result.err, "hint: " in result.err) == (1, True, True)
    with pytest.raises(api.PtxError, match="holds words, which are vectors on a model only"):
        api.prompt(path)
    shown = ptx("inspect", path, "--model", tiny["b"], "--json")
    assert (shown.code, len(shown.lines)) == (0, 5)


def test_tables_functions_and_the_cache_know_portable_prompts(ptx, tiny, suite, tune, common) -> None:
    learned = tune()
    frame = api.tune(models=[tiny["a"], tiny["narrow"]], space="words", suite=suite, epochs=2)
    assert frame[frame.stage == "portable"].key.tolist() == [line["key"] for line in learned.at("portable")]
    scored = api.eval(sources=[tiny["a"], tiny["narrow"]], target=tiny["b"], method="portable", suite=suite, epochs=2)
    assert len(scored[scored.stage == "eval"]) == 2
    relative = ["eval", "--sources", tiny["a"], "--target", tiny["b"], *common]
    names = ",".join([tiny["a"], tiny["narrow"], tiny["b"]])
    anchors = ptx("anchors", "--models", names, "--json").lines[0]["key"]
    assert ptx(*relative, "--anchors", anchors).code == 0
    rows = ptx("table", "--json").lines
    by = {row["method"]: row for row in rows}
    assert by["portable"]["sources"] == "a+narrow"
    assert by["portable"]["settings"] == by["relative"]["settings"]
    kept = ptx("cache", "gc", "--older-than", "0")
    assert kept.code == 0
    assert all(Path(line["path"]).is_dir() for line in learned.at("portable"))
    assert not any(Path(path).is_dir() for path in scored[scored.stage == "eval"].path)
    assert ptx("cache", "gc", "--older-than", "0", "--stage", "portable").code == 0
    assert not any(Path(line["path"]).is_dir() for line in learned.at("portable"))


def test_facts_that_a_source_does_not_know_are_counted_and_strictly_refused(ptx, tiny, suite, tmp_path: Path) -> None:
    partial = str(make_model(tmp_path / "partial", seed=5, words=[*COUNTRIES[:3], *FILLER, *SUBJECTS]))
    args = [
        "tune",
        "--models",
        f"{tiny['a']},{partial}",
        *SPACE,
        "--suite",
        suite,
        "--tasks",
        "R1",
        "--epochs",
        "1",
        "--json",
    ]
    (line,) = ptx(*args).at("portable")
    assert line["facts"] + line["dropped"] == 24
    assert line["dropped"] > 0
    for _ in range(2):  # whether it is in the cache or not
        result = ptx(*args, "--strict")
        assert (result.code, partial in result.err) == (1, True)


def test_label_words_are_learned_with(ptx, tiny, tmp_path: Path) -> None:
    topics = str(write_topics(tmp_path / "moods"))
    pair = ["--sources", f"{tiny['a']},{tiny['next']}", "--method", "portable", "--target", tiny["b"]]
    result = ptx("eval", *pair, "--suite", topics, "--epochs", "1", "--json")
    assert result.code == 0, result.err
    assert result.at("eval")[0]["facts"] == 8


def test_embedded_models_share_what_they_learn(ptx, tmp_path: Path) -> None:
    """Two models of the zoo on a third, and read back from the file: far above the most frequent answer."""
    pair = ["--sources", "bert-micro,roberta-micro", "--method", "portable", "--target", "albert-micro"]
    result = ptx("eval", *pair, "--tasks", "P103", "--epochs", "2", "--json")
    assert result.code == 0, result.err
    (scored,), (line,) = result.at("eval"), result.at("portable")
    assert scored["accuracy"] > scored["floor"] + 0.1
    path = Path(line["path"]) / FILE
    assert path.stat().st_size < 2000
    asked = ["--target", "albert-micro", "--anchors", result.at("anchors")[-1]["key"], "--json"]
    again = ptx("eval", "--prompt", path, *asked)
    assert again.at("eval")[0]["accuracy"] == scored["accuracy"]
