"""`residual` and `text`, what sources answer to unlabelled inputs, and choosing by agreement."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNTRIES, PAPER_TUNING, make_causal_model, write_suite, write_topics
from safetensors.torch import load_file

from ptx.cache import Artifact, Store
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.engine.step import Payload
from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.anchors import anchors_step
from ptx.stages.answers import FILE as ANSWERS
from ptx.stages.answers import INPUTS, answers_step, build
from ptx.stages.forecasts import told
from ptx.stages.settings import Settings
from ptx.stages.tune import FILE, tune_step
from ptx.suites import Fact
from ptx.transfer.starts import text_prompt, whole_text

TEXT = "word1 word2"  # the words of the suite's templates


@pytest.fixture
def search(ptx, tiny, suite):
    def run(source: str, target: str, *args: str):
        models = [tiny.get(name, name) for name in source.split(",")]
        common = ["--suite", suite, "--epochs", "2", "--json", "--prompt-length", "3"]
        return ptx("search", "--sources", ",".join(models), "--target", tiny[target], *common, *args)

    return run


def prompt_of(line: dict[str, Any]) -> torch.Tensor:
    return read_prompt(Path(line["path"]) / FILE)


def goals(result: Any, method: str) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [line for line in result.at("search") if line["method"] == method]


def answers_by_hand(model: Any, prompt: torch.Tensor, subjects: list[str], words: list[str]) -> list[str]:
    """One forward pass for each subject, of all words the likeliest."""
    ids = model.word_ids(words)
    rows = model.rows("[X] [V] [Y] .", subjects, prompt_length=len(prompt))
    with torch.no_grad():
        scores = [model.logits(model.collate([row]), prompt[None])[0, ids] for row in rows]
    return [words[int(of.argmax())] for of in scores]


def words_of(result: Any) -> list[str]:
    return (Path(result.at("anchors")[0]["path"]) / "words.csv").read_text().split()[1:]


# residual and text


def test_residual_on_its_own_model(search, tiny) -> None:
    """All that was added gives the source's prompt again, nothing of it the text, half of it what lies between."""
    model = load_model(resolve(tiny["a"]), "cpu")
    found = {
        length: search("a", "a", "--method", "residual", "--length", length, "--prompt-length", "2")
        for length in ("0", "0.5", "1")
    }
    for none, half, whole, tuned in zip(
        *(goals(of, "residual") for of in found.values()), found["1"].at("tune"), strict=True
    ):
        text = text_prompt(model, TEXT, 2)
        assert torch.equal(prompt_of(none), text)
        torch.testing.assert_close(prompt_of(whole), prompt_of(tuned), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(prompt_of(half), (text + prompt_of(tuned)) / 2, rtol=1e-4, atol=1e-5)
        assert half["text"] == TEXT


def test_of_several_sources_the_moved_differences_are_averaged(search, tiny) -> None:
    text = text_prompt(load_model(resolve(tiny["narrow"]), "cpu"), TEXT, 2)
    shared = ["--method", "residual", "--length", "1", "--tasks", "R1"]
    anchors = ["--anchors", search("a,b", "narrow", *shared).at("anchors")[0]["key"]]
    one, other, both = (
        prompt_of(goals(search(source, "narrow", *shared, *anchors, *more), "residual")[0]) - text
        for source, more in (("a", ()), ("b", ()), ("a,b", ("--weights", "3,1")))
    )
    torch.testing.assert_close(both, 0.75 * one + 0.25 * other, rtol=1e-4, atol=1e-5)


def test_a_prompt_from_noise_takes_the_nearest_text_of_its_task(search, tiny, tmp_path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("word3 word4 word5\n[X] word6 word7 [Y] .\n")
    result = search(
        "a", "narrow", "--method", "residual", "--tasks", "R1", "--texts", str(texts), *PAPER_TUNING, "--length", "0"
    )
    (line,) = goals(result, "residual")
    model = load_model(resolve(tiny["a"]), "cpu")
    tuned = prompt_of(result.at("tune")[0])
    far = {
        t: (tuned - text_prompt(model, t, 3)).norm(dim=-1).mean() for t in (TEXT, "word3 word4 word5", "word6 word7")
    }
    assert line["text"] == min(far, key=lambda text: far[text])


def test_a_prompt_without_a_text_is_refused(ptx, tiny, tmp_path) -> None:
    """In `auto` it is left out, and said."""
    folder = write_suite(tmp_path / "bare", ("R1",))
    (folder / "relations.jsonl").unlink()
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", str(folder), "--epochs", "1"]
    result = ptx("search", *common, "--method", "residual")
    assert result.code == 1
    assert "the prompt for R1 did not start from a text that ptx knows, and the task has none" in result.err
    assert "--texts FILE" in result.err
    result = ptx("search", *common, "--method", "text")
    assert "task R1 has no manual template, and so no text" in result.err
    result = ptx("search", *common, "--method", "auto", "--refine", "0", "--json")
    (line,) = goals(result, "auto")
    tried = {name.split(":")[0] for name in line["agreements"]}
    assert {"discretize", "relative"} <= tried
    assert not {"text", "residual"} & tried
    assert "residual is no candidate: the prompt for R1 did not start from a text" in " ".join(result.err.split())


@pytest.fixture
def different(ptx, tiny, suite) -> dict[str, dict[str, Any]]:
    """Prompts of two models for one task, which started from different texts."""
    return {
        name: ptx("tune", "--model", tiny[name], "--suite", suite, "--tasks", "R1", "--epochs", "2", "--json",
                  "--prompt-length", "2", "--init", f"text:{text}").lines[0]
        for name, text in (("a", "word1 word2"), ("b", "word3 word2"))
    }  # fmt: skip


def test_of_sources_from_different_texts_each_keeps_its_own(ptx, tiny, different) -> None:
    """The target has the text that all prompts are nearest to, plus the mean of what was added to either."""
    keys = [line["key"] for line in different.values()]
    common = ["--target", tiny["narrow"], "--method", "residual", "--length", "1", "--json"]
    both = ptx("search", "--prompt", ",".join(keys), *common)
    again = ptx("search", "--prompt", ",".join(keys[::-1]), *common)
    (line,) = goals(both, "residual")
    assert goals(again, "residual")[0]["key"] == line["key"]
    texts = [of["text"] for of in different.values()]
    models = [load_model(resolve(tiny[name]), "cpu") for name in different]
    prompts = [prompt_of(of) for of in different.values()]
    far = {
        text: sum((p - text_prompt(m, text, 2)).norm(dim=-1).mean() for m, p in zip(models, prompts, strict=True))
        for text in texts
    }
    assert line["text"] == min(far, key=lambda text: far[text])
    narrow = load_model(resolve(tiny["narrow"]), "cpu")
    anchors = ["--anchors", both.at("anchors")[0]["key"]]
    added = [
        prompt_of(goals(ptx("search", "--prompt", key, *common, *anchors), "residual")[0])
        - text_prompt(narrow, text, 2)
        for key, text in zip(keys, texts, strict=True)
    ]
    wanted = text_prompt(narrow, line["text"], 2) + sum(added) / 2  # word by word: these texts are as long
    torch.testing.assert_close(prompt_of(line), wanted, rtol=1e-4, atol=1e-5)


def test_auto_tries_sources_from_different_texts(ptx, tiny, different) -> None:
    keys = ",".join(line["key"] for line in different.values())
    result = ptx("search", "--prompt", keys, "--target", tiny["narrow"], "--method", "auto", "--refine", "0", "--json")
    (line,) = goals(result, "auto")
    assert len([name for name in line["candidates"] if name.startswith("residual:")]) == 11
    assert "residual is no candidate" not in result.err


def test_text_is_the_one_that_the_source_answers_best(search, tiny, suite, tmp_path) -> None:
    """Counted by hand on the source's train facts, among five words; the target's labels play no part."""
    texts, countries = tmp_path / "texts.txt", tmp_path / "words.txt"
    countries.write_text("\n".join(COUNTRIES))
    texts.write_text("".join(f"word{i} word{i + 1} word{i + 2}\n" for i in range(3, 30)) + "[X] word40 is [Y] .\n")
    result = search(
        "a", "narrow", "--method", "text", "--tasks", "R1", "--texts", str(texts), "--anchors", str(countries)
    )
    (line,) = goals(result, "text")
    model, words = load_model(resolve(tiny["a"]), "cpu"), words_of(result)
    facts = [json.loads(text) for text in (Path(suite) / "R1" / "train.jsonl").read_text().splitlines()]
    subjects, objects = [fact["sub_label"] for fact in facts], [fact["obj_label"] for fact in facts]

    def right(text: str) -> float:
        found = answers_by_hand(model, whole_text(model, text), subjects, words)
        return sum(a == b for a, b in zip(found, objects, strict=True)) / len(objects)

    every = [TEXT, *texts.read_text().splitlines()[:-1], "word40 is"]
    scores = {text: right(text) for text in every}
    assert len(set(scores.values())) > 1
    assert line["text"] == max(every, key=lambda text: scores[text])
    assert line["source_accuracy"] == pytest.approx(scores[line["text"]])
    assert torch.equal(prompt_of(line), whole_text(load_model(resolve(tiny["narrow"]), "cpu"), line["text"]))
    assert not result.at("tune")  # nothing is trained


# answers


def answers(tiny: dict[str, str], suite: str, store: Store, objects: list[str], **asked: Any) -> dict[str, bytes]:
    """The files and the key of a source's answers, its task having these objects in turn."""
    settings = Settings(suite, tune=TuneConfig(epochs=1), search=SearchConfig(**asked))
    model = resolve(tiny["a"])
    task = settings.chosen_tasks()[0]
    tuned, words = tune_step(model, task, settings), anchors_step([tiny["a"], tiny["b"]], settings)
    facts = [Fact(fact.subject, objects[i % len(objects)]) for i, fact in enumerate(task.splits["train"])]
    other = dataclasses.replace(task, splits={**task.splits, "train": tuple(facts)})
    step = answers_step(tuned, other, words, settings)
    ((_, payload),) = build([step], store, "cpu", lambda units, now="", **more: None)
    assert isinstance(payload, Payload)
    return {**payload.files, "key": step.key.encode()}


def test_objects_are_never_read(ptx, search, tiny, suite) -> None:
    """The same prompt gives the same answers, under the same key, whatever the objects of the train facts are."""
    ptx("tune", "--model", tiny["a"], "--suite", suite, "--epochs", "1")
    ptx("anchors", "--models", f"{tiny['a']},{tiny['b']}")
    store = Store(Path("cache"), print)
    one, other = (answers(tiny, suite, store, objects) for objects in (["France", "Peru"], ["Kenya"]))
    assert one == other
    drawn = answers(tiny, suite, store, ["Kenya"], inputs="words")
    assert drawn["key"] != one["key"]
    assert drawn[INPUTS] != one[INPUTS]


def test_answers_are_probabilities_among_shared_words(search, tiny, suite) -> None:
    result = search("a", "narrow", "--method", "auto", "--candidates", "text", "--tasks", "R1")
    (line,) = result.at("answers")
    words, subjects = words_of(result), [f"name{i}" for i in range(24)]
    model, prompt = load_model(resolve(tiny["a"]), "cpu"), prompt_of(result.at("tune")[0])
    assert [json.loads(text) for text in (Path(line["path"]) / INPUTS).read_text().splitlines()] == subjects
    stored = load_file(Path(line["path"]) / ANSWERS)
    assert stored["logs"].dtype == torch.float16
    rows = model.rows("[X] [V] [Y] .", subjects, prompt_length=3)
    with torch.no_grad():
        scores = torch.cat([model.logits(model.collate([row]), prompt[None])[:, model.word_ids(words)] for row in rows])
    wanted = scores.double().log_softmax(-1).sort(dim=-1, descending=True)
    torch.testing.assert_close(stored["logs"].double(), wanted.values, rtol=2e-3, atol=2e-3)
    assert torch.equal(stored["places"][:, 0].long(), wanted.indices[:, 0])
    torch.testing.assert_close(stored["rest"], torch.zeros(24), atol=1e-5, rtol=0)


# auto, and --select agree


@pytest.mark.parametrize(("source", "target"), [("a", "narrow"), ("next", "a"), ("a", "next"), ("a,next", "b")])
def test_auto_keeps_the_candidate_that_agrees_most(search, tiny, source, target) -> None:
    """Agreement counted by hand, candidate by candidate."""
    result = search(source, target, "--method", "auto", "--tasks", "R1", "--refine", "0")
    (line,) = goals(result, "auto")
    words, subjects = words_of(result), [f"name{i}" for i in range(24)]
    names = source.split(",")
    mean = torch.zeros(24, len(words), dtype=torch.float64)
    for name, tuned in zip(names, result.at("tune"), strict=True):
        model, prompt = load_model(resolve(tuned["model"]), "cpu"), prompt_of(tuned)
        rows = model.rows("[X] [V] [Y] .", subjects, prompt_length=3)
        with torch.no_grad():
            scores = [model.logits(model.collate([r]), prompt[None])[0, model.word_ids(words)] for r in rows]
        mean += torch.stack(scores).double().softmax(-1) / len(names)
        assert tuned["model"] == tiny[name]
    wanted = [words[i] for i in mean.argmax(-1).tolist()]
    model = load_model(resolve(tiny[target]), "cpu")
    own = json.loads((Path(line["path"]) / "meta.json").read_text())
    found: dict[str, float] = {}
    kappas: dict[str, float] = {}
    sure: dict[str, float] = {}  # of those that are more than chance
    for name, parent in zip(line["candidates"], own["parents"], strict=False):
        prompt = read_prompt(Path("cache/v1") / parent["stage"] / parent["key"] / FILE)
        answered = answers_by_hand(model, prompt, subjects, words)
        found[name] = sum(a == b for a, b in zip(answered, wanted, strict=True)) / 24
        chance = sum(a == b for a in answered for b in wanted) / 24**2
        kappas[name] = (found[name] - chance) / (1 - chance) if chance < 1 else 0.0
        more = chance < 1 and kappas[name] > 2 * (chance / (1 - chance) / 24) ** 0.5
        sure[name] = round(kappas[name], 9) if more else 0.0
        if name == line["chosen"]:
            assert torch.equal(prompt_of(line), prompt)
    assert line["agreements"] == pytest.approx(found)
    assert line["kappas"] == pytest.approx(kappas)
    best = max(sure, key=sure.__getitem__)  # the first of equals
    assert line["chosen"] == best
    assert (line["agreement"], line["kappa"]) == (line["agreements"][best], line["kappas"][best])
    assert {name.split(":")[0] for name in line["candidates"]} >= {"text", "residual", "relative"}


def test_candidates_are_searches_of_their_own(search) -> None:
    """Found again, by themselves and by other choices."""
    chosen = search("a", "narrow", "--method", "auto", "--candidates", "residual:length=1,relative:top_k=20,text")
    for line in goals(chosen, "auto"):
        assert line["candidates"][:3] == ["residual:length=1.0", "relative:top_k=20", "text"]
        assert line["candidates"][3:] == ["text:nth=2", "text:nth=3", "text:nth=4"]
    anchors = ["--anchors", chosen.at("anchors")[0]["key"]]
    for method, more in (
        ("residual", ["--length", "1"]),
        ("relative", ["--top-k", "20"]),
        ("text", []),
        ("text", ["--nth", "2"]),
    ):
        again = search("a", "narrow", "--method", method, *more, *anchors)
        assert all(line["reused"] for line in goals(again, method))
    agreed = search("a", "narrow", "--method", "residual", "--select", "agree", *anchors)
    assert {len(line["candidates"]) for line in goals(agreed, "residual") if "candidates" in line} == {11}
    assert all(line["reused"] for line in agreed.at("answers"))
    other = search("a", "b", "--method", "auto", "--candidates", "text", *anchors)
    assert all(line["reused"] for line in other.at("answers"))  # they never name the target


def test_inputs_of_ones_own(search, tmp_path) -> None:
    """Their text is in the key, not the file's place; without train facts they are all there is."""
    one, copy, other = (tmp_path / name for name in ("one.txt", "copy.txt", "other.txt"))
    for path in (one, copy):
        path.write_text("name1\nname2\n")
    other.write_text("name3\n")
    keys = [
        goals(search("a", "b", "--method", "auto", "--inputs", str(path), "--tasks", "R1"), "auto")[0]
        for path in (one, copy, other)
    ]
    assert keys[0]["key"] == keys[1]["key"] != keys[2]["key"]
    assert [line["inputs"] for line in keys] == [2, 2, 1]
    missing = search("a", "b", "--method", "auto", "--inputs", "nothing.txt")
    assert (missing.code, "no file nothing.txt" in missing.err) == (1, True)


def test_imported_prompts_are_sources(ptx, search, tiny, suite, tmp_path) -> None:
    tuned = search("a", "b", "--method", "relative", "--tasks", "R1").at("tune")[0]
    made = ["--model", tiny["a"], "--task", "R1", "--suite", suite, "--json"]
    key = ptx("import", str(Path(tuned["path"]) / FILE), *made).lines[0]["key"]
    result = ptx("search", "--prompt", key, "--target", tiny["narrow"], "--method", "auto", "--refine", "0", "--json")
    (line,) = goals(result, "auto")
    tried = {name.split(":")[0] for name in line["candidates"]}
    assert {"text", "discretize", "relative", "residual"} <= tried


def test_labels_are_answered_among_themselves(ptx, tiny, tmp_path) -> None:
    folder = write_topics(tmp_path / "moods")
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", str(folder), "--epochs", "1", "--json"]
    result = ptx("eval", *common, "--method", "auto")
    assert result.code == 0, result.err
    (line,) = result.at("answers")
    assert load_file(Path(line["path"]) / ANSWERS)["places"].shape == (24, 2)
    drawn = ptx("search", *common, "--method", "auto", "--inputs", "words")
    assert goals(drawn, "auto")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--method", "auto", "--select", "dev"], "--method auto does not use --select"),
        (["--method", "omp", "--select", "agree"], "--method omp has no variants to choose among"),
        (["--candidates", "text"], "--method relative does not use --candidates"),
        (["--method", "auto", "--candidates", "manual"], "'manual' is nothing to choose"),
        (["--method", "auto", "--candidates", "residual:size=1"], "no setting 'size'"),
        (["--method", "auto", "--candidates", "residual:length=far"], "'far' will not do for length"),
        (["--method", "auto", "--candidates", "residual:length=-1"], "--length -1.0 is no share"),
        (["--method", "auto", "--candidates", "relative:mask=none"], "'none' will not do for mask"),
    ],
)
def test_what_cannot_be_asked(search, args, message) -> None:
    result = search("a", "b", *args)
    assert result.code == 2
    assert message in " ".join(result.err.split())


# forecasts


def test_what_is_to_be_expected_is_said_kept_and_shown(ptx, tiny, suite) -> None:
    """Of the choice in meta.json and on stderr, of its evaluation beside accuracy, in the table below it."""
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", suite, "--epochs", "2"]
    found = goals(ptx("search", *common, "--method", "auto", "--candidates", "text,residual", "--json"), "auto")
    for line in found:
        p, a, k, n = dev(line), line["agreement"], line["kappa"], line["inputs"]
        chance, differ = (a - k) / (1 - k), 1 - a
        beyond = k > 1.96 * (chance / (1 - chance) / n) ** 0.5
        expected = (a * line["confidence"]) ** 0.5 if beyond else line["majority_there"] / 2
        expected = min(max(expected, p - differ), p + differ)
        expected = min(max(expected, line["forecast_low"]), line["forecast_high"])
        assert line["forecast"] == pytest.approx(expected)
    result = ptx("eval", *common, "--method", "auto", "--candidates", "text,residual")
    said = " ".join(result.err.split())
    name = Path(tiny["narrow"]).name
    assert "accuracy to expect of auto from" in said
    assert name in said
    mean = sum(line["forecast"] for line in found) / 2
    assert f"mean {100 * mean:.1f} % (" in said
    lines = [re.split(r"\s{2,}", line) for line in result.out.splitlines()]
    place = next(i for i, line in enumerate(lines) if "forecast %" in line)
    header, *rows = lines[place : place + 3]
    assert [row[header.index("forecast %")] for row in rows] == [f"{100 * line['forecast']:.1f}" for line in found]
    table = ptx("table", "--json")
    (cell,) = [row for row in table.lines if row["method"] == "auto"]
    assert cell["forecast"] == pytest.approx(mean)
    shown = ptx("table").out
    assert "auto (unlabelled inputs)" in shown
    assert "P@1 in % that was to be expected" in shown


def dev(line: dict[str, Any]) -> float:
    """The dev accuracy of the one source of a choice."""
    (answered,) = [
        p for p in json.loads((Path(line["path"]) / "meta.json").read_text())["parents"] if p["stage"] == "answers"
    ]
    parents = json.loads((Path("cache/v1/answers") / answered["key"] / "meta.json").read_text())["parents"]
    (tuned,) = [Path("cache/v1/tune") / p["key"] / "meta.json" for p in parents if p["stage"] == "tune"]
    return json.loads(tuned.read_text())["metrics"]["dev_accuracy"]


def test_a_forecast_changes_no_prompt(search) -> None:
    plain = search("a", "narrow", "--method", "relative", "--tasks", "R1")
    result = search("a", "narrow", "--method", "relative", "--tasks", "R1", "--forecast")
    one, other = goals(result, "relative")
    assert torch.equal(prompt_of(one), prompt_of(other))
    assert one["key"] == goals(plain, "relative")[0]["key"]
    assert "forecast" in other
    assert "agreement" not in one


def test_rows_of_one_method_stay_apart(ptx, tiny, suite) -> None:
    """By itself, with a forecast, and chosen: each is a row that says what it used."""
    common = [
        "--sources",
        tiny["a"],
        "--target",
        tiny["narrow"],
        "--suite",
        suite,
        "--epochs",
        "1",
        "--method",
        "relative",
    ]
    for more in ([], ["--forecast"], ["--select", "agree"]):
        assert ptx("eval", *common, *more).code == 0
    rows = [row for row in ptx("table", "--json").lines if row["method"] != "floor"]
    assert [row["method"] for row in rows] == ["relative", "relative+agree", "relative+forecast"]
    assert len({row["facts"] for row in rows}) == 1


def test_a_prompt_that_does_not_travel_is_named(search) -> None:
    """Tiny random models agree on nothing."""
    result = search("a", "narrow", "--method", "auto", "--candidates", "discretize", "--tasks", "R1")
    (line,) = goals(result, "auto")
    assert line["forecast"] <= line["majority_there"]
    assert "the prompt for R1 does not travel to" in " ".join(result.err.split())


def test_between_decoders_a_whole_prompt_is_doubted_once(ptx, search, tiny, tmp_path) -> None:
    other = str(make_causal_model(tmp_path / "other", width=10, seed=9))
    common = ["--sources", tiny["next"], "--target", other, "--epochs", "1"]
    said = "between decoders, whole prompts (relative) moved nothing"
    result = search("next", "next", "--method", "relative")
    assert said not in " ".join(result.err.split())  # onto itself
    for method, doubted in (("relative", True), ("residual", False), ("text", False)):
        result = ptx("search", *common, "--suite", suite_of(tmp_path), "--method", method)
        assert result.code == 0, result.err
        assert " ".join(result.err.split()).count(said) == doubted
    noise = ptx("search", *common, "--suite", suite_of(tmp_path), *PAPER_TUNING)
    assert "with prompts tuned from a text (--init text)" in " ".join(noise.err.split())
    for start, doubted in (([], False), (PAPER_TUNING, True)):  # words that are nearest to a text are that text
        nearest = ptx("search", *common, "--suite", suite_of(tmp_path), "--method", "neighbours", *start)
        assert nearest.code == 0, nearest.err
        assert ("whole prompts (neighbours) moved nothing" in " ".join(nearest.err.split())) == doubted
    masked = search("a", "next", "--method", "relative")
    assert "between decoders" not in masked.err


def suite_of(folder: Path) -> str:
    return str(folder / "suite" if (folder / "suite").exists() else write_suite(folder / "suite"))


def made(target: str, key: str = "k", inputs: str = "i", **metrics: Any) -> Artifact:
    """A search of one prompt, as far as doubts look at it."""
    labels = {"task": "R1", "target": target, "method": "relative", "sources": ["s"]}
    parents = [{"stage": "answers", "key": inputs}]
    return Artifact(Path(key), {"key": key, "labels": labels, "inputs": {"target": target}, "parents": parents,
                                "metrics": {"agreement": 0.1, "kappa": 0.1, "inputs": 10, **metrics}})  # fmt: skip


def expecting(forecast: float, **more: Any) -> dict[str, Any]:
    return {"forecast": forecast, "forecast_low": 0.0, "forecast_high": 1.0, "majority_there": 0.3, **more}


@pytest.mark.parametrize(
    ("own", "others", "instead"),
    [
        ({"text": "is in", "text_kappa": 0.4}, [],
         "the text 'is in' (--method residual --length 0) would do better, with a kappa of 0.40 instead of 0.10"),
        ({"text": "is in", "text_kappa": 0.1}, [], "try --method auto"),
        ({}, [made("t", kappas={"text": 0.5, "relative": 0.1})],
         "a text (--method text) would do better, with a kappa of 0.50"),
        ({}, [made("t", inputs="other", kappas={"text": 0.5})], "try --method auto"),
        ({}, [made("u", kappas={"text": 0.5})], "try --method auto"),
        ({}, [made("u", **expecting(0.5)), made("v", **expecting(0.6)), made("w", **expecting(0.3))],
         "the nearest model that it travels to is v, where 60.0% is to be expected"),
        ({}, [made("t", **expecting(0.6))], "try --method auto"),
        ({"text": "is in", "text_kappa": 0.4}, [made("u", **expecting(0.5))],
         "a kappa of 0.40 instead of 0.10; the nearest model that it travels to is u, where 50.0% is to be expected"),
    ],
)  # fmt: skip
def test_what_would_do_better_is_named_where_it_is_known(own, others, instead) -> None:
    for figures in (expecting(0.2), {}):  # of an imported prompt there is agreement only
        doubted = made("t", **figures, **own)
        *_, (text, warns) = told([doubted], lambda artifact: others)
        assert warns
        assert text.startswith("the prompt for R1 does not travel to t: it answers as its source on 10.0%")
        assert instead in text
        assert ("try --method auto" in text) == (instead == "try --method auto")


@pytest.mark.parametrize("forecast", [0.2, 0.4])
def test_what_is_distilled_is_doubted_by_itself(forecast: float) -> None:
    """And its start, of which nothing is asked, is not."""
    start, alone = made("t", key="start", **expecting(0.2)), made("t", key="alone", **expecting(0.2))
    distilled = made("t", key="distilled", **expecting(forecast))
    distilled.meta["labels"]["method"] = "distil"
    distilled.meta["parents"].append({"stage": "search", "key": "start"})
    (said, _), *others = told([start, distilled])
    assert said.startswith("accuracy to expect of distil from s on t")
    doubts = [text for text, warns in others if warns]
    assert len(doubts) == (forecast <= 0.3)
    assert all("try --method auto" not in text for text in doubts)
    assert [warns for _, warns in told([start, alone, distilled])].count(True) == 1 + len(doubts)


def with_forecast(result: Any, method: str) -> dict[str, Any]:
    (line,) = [line for line in goals(result, method) if "agreement" in line]
    return line


def test_of_other_models_the_nearest_that_the_cache_knows_is_named(ptx) -> None:
    """By the same prompt's forecast there: at home it does well, as it is on another model it does not."""
    common = ["--sources", "bert-micro", "--tasks", "P103", "--epochs", "3", *PAPER_TUNING, "--forecast", "--json"]
    home = ptx("search", *common, "--target", "bert-micro", "--method", "residual", "--length", "1")
    own = with_forecast(home, "residual")
    assert own["forecast"] > own["majority_there"]
    result = ptx("search", *common, "--target", "roberta-micro", "--method", "direct")
    line = with_forecast(result, "direct")
    assert line["forecast"] <= line["majority_there"]
    named = f"the nearest model that it travels to is bert-micro, where {own['forecast']:.1%} is to be expected"
    assert named in " ".join(result.err.split())
    other = ptx("search", *common, "--target", "roberta-micro", "--method", "direct", "--seed", "1")  # another prompt
    assert "does not travel to roberta-micro" in other.err
    assert "the nearest model that it travels to" not in " ".join(other.err.split())


def test_a_prompt_is_compared_with_the_text_that_it_was_tuned_from(search) -> None:
    """What the text scores is what it scores by itself."""
    more = ["--tasks", "R1", "--forecast"]
    text = with_forecast(search("a", "narrow", "--method", "residual", "--length", "0", *more), "residual")
    line = with_forecast(search("a", "narrow", "--method", "relative", *more), "relative")
    assert (line["text"], line["text_agreement"]) == (TEXT, text["agreement"])
    assert line["text_kappa"] == text["kappa"]
    assert [*line["agreements"]] == ["relative"]
