"""P@1, ranks, probabilities and floors, and what dev accuracy chooses, against tests/reference.py.

Everything goes through the command line, and is judged by the files that it leaves.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
import shutil
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import families
import pytest
import reference
import torch
from conftest import COUNTRIES, PAPER_TUNING, Result, make_causal_model, make_model, write_topics
from reference import LAYOUTS, Fact, Scored
from safetensors.torch import load_file
from torch import Tensor

Row = dict[str, Any]
Run = Callable[..., Result]
Models = Callable[[str], str]
MODELS = ("masked", "roberta", "causal", "opt", "bart", "bart-scaled", "t5")
FAST = (*PAPER_TUNING, "--epochs", "6", "--lr", "0.3")


def write_facts(folder: Path, tasks: int = 2, *, dev: int = 12, test: int = 16) -> str:
    """Tasks whose subjects differ in length, one being too long for most models.

    In train an object of several tokens ("Atlantis") is the most frequent, and then two countries are, equally often.
    """
    relations = []
    for number in range(1, tasks + 1):
        rng = random.Random(number)
        often = ["Norway", "Peru"] if number % 2 else ["Peru", "Norway"]
        usual = [*often * (4 + number % 2), *["Atlantis"] * (9 + number), *COUNTRIES]  # one step an epoch, or two
        objects = {
            "train": often + rng.sample(usual, len(usual)),
            "dev": rng.choices([*COUNTRIES, "Atlantis"], k=dev),
            "test": [often[0], "Atlantis", *rng.choices([*COUNTRIES, *often[:1] * 3, "Atlantis"], k=test - 2)],
        }
        (folder / f"R{number}").mkdir(parents=True)
        for split, chosen in objects.items():
            words = [" ".join(rng.choices(families.WORDS, k=rng.randrange(4))) for _ in chosen]
            words[2] = "island " * 70
            rows = [{"sub_label": f"{split}{i} {words[i]}".strip(), "obj_label": obj} for i, obj in enumerate(chosen)]
            write_lines(folder / f"R{number}" / f"{split}.jsonl", rows)
        template = "the old [X] lives near a [Y] in it" if number % 2 else "[X] of the [Y] ."
        relations.append({"relation": f"R{number}", "template": template})
    write_lines(folder / "relations.jsonl", relations)
    return str(folder)


def write_lines(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def favour(folder: Path) -> None:
    """Make countries likely answers, and what is no word (masks, padding) too: a random model would give neither."""
    plain = reference.load(str(folder))
    with torch.no_grad():
        tokens = [*map(plain.token, COUNTRIES), *plain.tokenizer.all_special_ids]
        plain.network.get_input_embeddings().weight[tokens] *= 3
    plain.network.float().save_pretrained(folder)
    reference.load.cache_clear()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.fixture(scope="module")
def suite(root: Path) -> str:
    return write_facts(root / "suite")


@pytest.fixture(scope="module")
def many(root: Path) -> str:
    """More tasks than are tuned together, with more dev facts than fit into a batch."""
    return write_facts(root / "many", 9, dev=40)


@pytest.fixture(scope="module")
def topics(root: Path) -> str:
    return str(write_topics(root / "topics", text="name{i} a{j}{j} word{j}"))


@pytest.fixture(scope="module")
def model(root: Path) -> Models:
    """The folder of a model by name."""

    def folder(name: str) -> str:
        path = root / name
        if not path.exists():
            if name == "masked":
                make_model(path, seed=8, width=12)
            elif name == "causal":
                make_causal_model(path, seed=9, side="left")
            else:
                families.make(name, path)
            favour(path)
        return str(path)

    return folder


@pytest.fixture
def run(ptx: Run, root: Path) -> Run:
    """Run a command that has to end well."""

    def run(*args: object, **more: Any) -> Result:
        result = ptx(*args, "--cache-dir", root / "cache", "--json", **more)
        assert result.code == 0, result.err
        return result

    return run


def labels_of(suite: str) -> list[str]:
    return [*tomllib.loads((Path(suite) / "suite.toml").read_text())["words"].values()]


def facts_of(row: Row, split: str, suite: str = "") -> list[Fact]:
    """The facts of a row's task; texts to classify with their label words."""
    suite = suite or row["suite"]
    if row["task"] == "moods":
        words = dict(zip(("good", "bad"), labels_of(suite), strict=True))
        return [(line["text"], words[line["label"]]) for line in read_lines(Path(suite) / f"{split}.jsonl")]
    path = Path(suite) / row["task"] / f"{split}.jsonl"
    if not path.parent.exists():  # LAMA's files are test facts
        path = path.parent.with_suffix(".jsonl")
    is_there = split == "test" or path.stem == split
    return [(line["sub_label"], line["obj_label"]) for line in read_lines(path)] if is_there else []


def prompt_of(row: Row) -> Tensor:
    return load_file(Path(row["path"]) / "prompt.safetensors")["prompt"]


def meta_of(row: Row) -> dict[str, Any]:
    return json.loads((Path(row["path"]) / "meta.json").read_text())


def words_of(result: Result) -> list[str]:
    """All shared words, of which --count chooses some as anchors."""
    row = max(result.at("anchors"), key=lambda row: row["count"])
    with (Path(row["path"]) / "words.csv").open() as file:
        return [line["word"] for line in csv.DictReader(file)]


def same(share: float, found: Scored) -> bool:
    """Whether a share of right answers is what the reference finds, but for those that rounding decides."""
    return abs(share * len(found.kept) - found.correct) <= found.unsure + 1e-6


def check_eval(row: Row, words: Sequence[str], template: str, prompt: Tensor | None, home: str = "") -> Scored:
    """An evaluation is what the reference finds, fact by fact and as a whole. `home`: the suite of the train facts."""
    plain = reference.load(row["target"])
    found = reference.score(plain, facts_of(row, row["split"]), words, template, prompt)
    assert found.unsure <= len(found.kept) / 4
    lines = read_lines(Path(row["path"]) / "predictions.jsonl")
    assert [(line["subject"], line["object"]) for line in lines] == found.kept
    for line, answer in zip(lines, found.answers, strict=True):
        assert line["probability"] == pytest.approx(answer.probability, abs=1e-3)
        if answer.sure:
            assert (plain.token(line["predicted"]), line["rank"]) == (answer.predicted, answer.rank)
    assert row["correct"] == sum(line["predicted"] == line["object"] for line in lines)
    assert row["accuracy"] == row["correct"] / len(lines)
    assert same(row["accuracy"], found)
    assert (row["facts"], row["dropped"]) == (len(lines), found.dropped)
    assert row["floor"] == reference.floor(facts_of(row, "train", home), found, words)
    return found


def check_evals(result: Result, layout: str = "postfix", home: str = "") -> list[Scored]:
    """Every evaluation of a command, with the prompt that it made for the task."""
    made = {row["task"]: prompt_of(row) for row in result.at("search") or result.at("tune")}
    words = words_of(result)
    return [check_eval(row, words, LAYOUTS[layout], made[row["task"]], home) for row in result.at("eval")]


def check_baselines(row: Row, plain: reference.Plain, train: Sequence[Fact]) -> None:
    """What the prompt is compared with, on the same dev facts: the most frequent train answer, and the template."""
    if row["task"] == "moods":
        words: list[str] | None = labels_of(row["suite"])
        template = tomllib.loads((Path(row["suite"]) / "suite.toml").read_text())["template"]
    else:
        words = None
        rows = read_lines(Path(row["suite"]) / "relations.jsonl")
        (template,) = [of["template"] for of in rows if of["relation"] == row["task"]]
    found = reference.score(plain, facts_of(row, "dev"), words, template)
    assert same(row["template"], found)
    assert row["majority"] == reference.floor(train, found, [obj for _, obj in train])


def check_tune(row: Row, layout: str = "postfix", start: Tensor | None = None) -> list[float]:
    """The kept epoch is the first best one, and the kept prompt is that epoch's. Returns the accuracies of epochs.

    A prompt to start from takes part, as epoch 0; a drawn one does not. Texts are answered among label words, facts
    among all tokens.
    """
    plain, meta = reference.load(row["model"]), meta_of(row)
    metrics = meta["metrics"]

    def dev(prompt: Tensor, facts: Sequence[tuple[str, str]]) -> Scored:
        words = labels_of(row["suite"]) if row["task"] == "moods" else None
        return reference.score(plain, facts, words, LAYOUTS[layout], prompt)

    train = facts_of(row, "train")
    known = [fact for fact in train if plain.token(fact[1]) is not None]
    every = [fact for fact in facts_of(row, "dev") if plain.token(fact[1]) is not None]
    looked_at, own = every, meta["config"]["tune"]
    if patience := own.get("patience", 0):  # a look costs a third of a step, and all looks a tenth of the time
        most = max(1, int(0.3 * len(known)))
        looked_at = every if len(every) <= most else [every[i * len(every) // most] for i in range(most)]
    assert (metrics["facts"], metrics["dropped"]) == (len(known), len(train) - len(known))
    check_baselines(row, plain, known)
    each = math.ceil(len(known) / meta["config"]["tune"]["batch_size"])  # gradient steps
    before, *_ = metrics["history"]
    epochs = [point for point in metrics["history"] if point["epoch"]]
    early = [(0, step) for step in (0, 1, 2, 4) if step < each]
    if patience:
        early = early[: max(1, int(0.3 * len(known) * own["epochs"] / len(looked_at) - own["epochs"]))]
    looks = [(point["epoch"], point["steps"]) for point in metrics["history"]]
    assert looks == [*early, *((epoch, epoch * each) for epoch in range(1, len(epochs) + 1))]
    choices = epochs if start is None else [before, *epochs]
    best = sorted(choices, key=lambda point: (-point["dev_accuracy"], point["epoch"]))[0]
    assert metrics["epoch"] == best["epoch"]
    assert same(best["dev_accuracy"], dev(prompt_of(row), looked_at))
    assert same(metrics["dev_accuracy"], dev(prompt_of(row), every))
    if start is not None:
        assert same(before["dev_accuracy"], dev(start, looked_at))
    return [point["dev_accuracy"] for point in choices]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
def test_tuned_prompts(run: Run, model: Models, suite: str, name: str, layout: str) -> None:
    result = run("eval", "--target", model(name), "--suite", suite, "--layout", layout, *FAST)
    for row in result.at("tune"):
        check_tune(row, layout)
    found = check_evals(result, layout)
    assert len(found) == 2
    assert all(scored.dropped for scored in found)
    assert any(0 < scored.correct < len(scored.kept) for scored in found)
    assert all(len({answer.rank for answer in scored.answers}) > 3 for scored in found)
    assert len({row["floor"] for row in result.at("eval")}) == 2


@pytest.mark.parametrize("name", MODELS)
def test_manual_templates(run: Run, model: Models, suite: str, name: str) -> None:
    templates = {row["relation"]: row["template"] for row in read_lines(Path(suite) / "relations.jsonl")}
    result = run("eval", "--method", "manual", "--target", model(name), "--suite", suite)
    words = words_of(result)
    found = [check_eval(row, words, templates[row["task"]], None) for row in result.at("eval")]
    assert all(len({answer.rank for answer in scored.answers}) > 3 for scored in found)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["masked", "causal", "t5"])
def test_classification(run: Run, model: Models, topics: str, name: str, layout: str) -> None:
    """Texts are answered among the label words, in tuning too; among all tokens the accuracy would be another."""
    result = run("eval", "--target", model(name), "--suite", topics, "--layout", layout, *FAST)
    (tuned,), (row,) = result.at("tune"), result.at("eval")
    check_tune(tuned, layout)
    check_eval(row, labels_of(topics), LAYOUTS[layout], prompt_of(tuned))
    plain = reference.load(row["target"])
    assert not same(
        tuned["dev_accuracy"], reference.score(plain, facts_of(row, "dev"), None, LAYOUTS[layout], prompt_of(tuned))
    )


# The words of the templates of `write_facts`, from behind the answer on.
TEXTS = {"R1": "in it the old lives near a", "R2": "of the"}


def texts_of(plain: reference.Plain, row: Row) -> list[str]:
    """What a tuning may start from: with a causal model also what is made of the three words, of three letters or more,
    that are likeliest behind "<answer> is a", in the mean over train answers."""
    text = TEXTS[row["task"]]
    if plain.kind != "causal":
        return [text]
    answers = sorted({obj for _, obj in facts_of(row, "train")})
    scores = torch.tensor([plain.scores("[X] is a [Y] .", answer) for answer in answers], dtype=torch.float64)
    pieces = [token.lstrip("Ġ▁") for token in plain.tokenizer.get_vocab()]
    words = {plain.token(word): word for word in pieces if len(word) > 2 and word.isalpha() and word.islower()}
    likeliest = [words[i] for i in scores.softmax(-1).sum(0).argsort(descending=True).tolist() if i in words]
    kinds = [[f"{text} the {k} of", f": its {k} is", f", whose {k} is", f"( {k} :", f", {k} :"] for k in likeliest[:3]]
    assert len(kinds) == min(3, len(words))  # the one tokenizer knows no such word, the other many
    return [text, *itertools.chain(*kinds)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
def test_tuning_from_the_template(run: Run, model: Models, suite: str, name: str, layout: str) -> None:
    """With the defaults of today: from the last words of the template, which are kept unless an epoch is better, at a
    multiple of the embeddings' std, until nothing gets better."""
    plain = reference.load(model(name))
    matrix = plain.network.get_input_embeddings().weight.detach().float()
    args = ("--model", model(name), "--suite", suite, "--layout", layout, "--lr-scale", "0.5", "--epochs", "4")
    for row in run("tune", *args).at("tune"):
        train = [fact for fact in facts_of(row, "train") if plain.token(fact[1]) is not None]
        tokens = {text: plain.middle(text) for text in texts_of(plain, row)}
        known = {text: ids for text, ids in tokens.items() if plain.tokenizer.unk_token_id not in ids} or tokens
        starts = {text: matrix[(ids * 5)[-5:]] for text, ids in known.items()}
        right = {text: reference.score(plain, train, None, LAYOUTS[layout], of).correct for text, of in starts.items()}
        best = max(right, key=lambda text: right[text]) if len(right) > 1 else next(iter(right))
        assert meta_of(row)["metrics"]["text"] == best
        start = starts[best]
        check_tune(row, layout, start=start)
        if row["epoch"] == 0:
            assert torch.equal(prompt_of(row), start)
        ends = [point["epoch"] for point in meta_of(row)["metrics"]["history"]][-1]
        assert 3 < ends <= 3 * 4
        own = meta_of(row)["config"]["tune"]
        assert (own["texts"][0] if "texts" in own else own["text"]) == TEXTS[row["task"]]
        assert ("kinds" in own, own["lr_scale"], own["patience"]) == (plain.kind == "causal", 0.5, 3)


def test_the_first_best_epoch(run: Run, model: Models, many: str) -> None:
    accuracies = [check_tune(row) for row in run("tune", "--model", model("causal"), "--suite", many, *FAST).at("tune")]
    assert [len(of_task) for of_task in accuracies] == [6] * 9
    assert any(max(of_task) > of_task[0] for of_task in accuracies)
    assert any(max(of_task) > of_task[-1] for of_task in accuracies)
    assert any(of_task.count(max(of_task)) > 1 for of_task in accuracies)


def test_a_drawn_start_is_never_kept(run: Run, model: Models, suite: str) -> None:
    """Even where no epoch is better: with this learning rate none differs."""
    args = ("--model", model("bart"), "--suite", suite, *FAST, "--epochs", "2", "--lr", "1e-12")
    for row in run("tune", *args).at("tune"):
        check_tune(row)
        assert row["epoch"] == 1
        assert len({point["dev_accuracy"] for point in meta_of(row)["metrics"]["history"]}) == 1


def test_a_warm_start_is_kept_unless_an_epoch_is_better(run: Run, model: Models, many: str) -> None:
    target = model("causal")
    starts = run("search", "--method", "random", "--target", target, "--suite", many).at("search")
    keys = ",".join(row["key"][:12] for row in reversed(starts))
    kept = []
    rows = run("tune", "--model", target, "--suite", many, *FAST, "--init", keys).at("tune")
    for row, start in zip(rows, starts, strict=True):
        check_tune(row, start=prompt_of(start))
        kept.append(row["epoch"])
        if row["epoch"] == 0:
            assert torch.equal(prompt_of(row), prompt_of(start))
    assert 0 in kept
    assert any(kept)


def test_dev_texts_beyond_a_batch(run: Run, model: Models, root: Path) -> None:
    """From noise, which answers both labels, to the one label of all train texts."""
    folder = write_topics(root / "lopsided")
    texts = [f"name{i % 40} word{i % 60}" + " old" * (i > 250) for i in range(257)]  # one more than a batch holds
    write_lines(folder / "train.jsonl", [{"text": text, "label": "bad"} for text in texts[:24]])
    labels = ["good" if i % 4 == 1 else "bad" for i in range(257)]
    write_lines(
        folder / "dev.jsonl", [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    )
    (noise,) = run("search", "--method", "random", "--target", model("causal"), "--suite", folder).at("search")
    args = ("--model", model("causal"), "--suite", folder, *FAST, "--init", noise["key"])
    (row,) = run("tune", *args).at("tune")
    before, *after = check_tune(row, start=prompt_of(noise))
    assert before < max(after) == labels.count("bad") / 257


@pytest.mark.parametrize("lr", ["1e-12", "30"])
def test_a_warm_start_from_a_file(run: Run, model: Models, suite: str, lr: str) -> None:
    """Kept where epochs equal it, and where they ruin it."""
    args = ("--model", model("causal"), "--suite", suite, "--tasks", "R1")
    (tuned,) = run("tune", *args, *FAST).at("tune")
    file = Path(tuned["path"]) / "prompt.safetensors"
    row = run("tune", *args, *FAST, "--init", file, "--epochs", "3", "--lr", lr, "--batch-size", "4").at("tune")[-1]
    before, *after = check_tune(row, start=prompt_of(tuned))
    assert row["epoch"] == 0
    assert torch.equal(prompt_of(row), prompt_of(tuned))
    assert row["dev_accuracy"] == tuned["dev_accuracy"] == before
    assert (before == max(after)) == (lr == "1e-12")


def test_many_prompts_at_once(run: Run, model: Models, root: Path) -> None:
    """More prompts than share batches, more facts than fit into one."""
    suite = write_facts(root / "seventeen", 17, test=20)
    result = run("eval", "--method", "random", "--target", model("masked"), "--suite", suite)
    assert len(check_evals(result)) == 17


def test_transferred_prompts_and_shared_words(run: Run, model: Models, suite: str) -> None:
    """Answers are among all words that the models share, whatever the number of anchors."""
    args = ("--sources", model("masked"), "--target", model("causal"), "--suite", suite, "--count", "20")
    result = run("eval", *args, *FAST)
    check_evals(result)
    assert len(words_of(result)) > min(row["count"] for row in result.at("anchors")) == 20
    losses = [[row["matching_loss"] for row in result.at(stage)] for stage in ("search", "eval")]
    assert losses[0] == losses[1]


def test_several_lengths_and_labels(run: Run, model: Models, root: Path, suite: str, many: str, topics: str) -> None:
    """Named together by their keys, they share a model, but not all their batches."""
    other = str(write_topics(root / "other", words='{ good = "Peru", bad = "Kenya" }', text="name{i} a{j}"))
    target = model("bart-scaled")
    facts, texts = ((suite, "R1", 3), (suite, "R2", 4), (many, "R3", 3)), ((topics, "moods", 3), (other, "moods", 3))
    prompts = {}
    for seed, (folder, task, length) in enumerate(facts + texts):
        args = ("--suite", folder, "--tasks", task, "--prompt-length", length, "--seed", seed)
        (row,) = run("search", "--method", "random", "--target", target, *args).at("search")
        prompts[row["key"]] = prompt_of(row)
    result = run("eval", "--target", target, "--prompt", ",".join(prompts))
    assert len(result.at("eval")) == 5
    for row in result.at("eval"):
        words = labels_of(row["suite"]) if row["task"] == "moods" else words_of(result)
        check_eval(row, words, LAYOUTS["postfix"], prompts[meta_of(row)["parents"][0]["key"]])


def test_splits_and_floors(run: Run, model: Models, root: Path, suite: str) -> None:
    """The dev split; a test set of one fact, with the floor of the suite at home, and with none."""
    args = ("--target", model("opt"), "--suite", suite)
    check_evals(run("eval", "--method", "random", *args, "--split", "dev"))
    tests = root / "tests"
    tests.mkdir()
    write_lines(tests / "R2.jsonl", read_lines(Path(suite) / "R2" / "test.jsonl")[:1])
    write_lines(tests / "relations.jsonl", [{"relation": "R2", "template": "[X] is [Y]"}])
    assert len(check_evals(run("eval", "--method", "random", *args, "--on", tests), home=suite)) == 1
    result = run("eval", "--method", "manual", "--target", model("opt"), "--suite", tests)
    check_eval(result.at("eval")[0], words_of(result), "[X] is [Y]", None)
    assert result.at("eval")[0]["floor"] is None


def test_objects_that_are_no_words(ptx: Run, model: Models, root: Path) -> None:
    """Without one among train objects there is no floor; without one among those to score, an error for this task."""
    suite = Path(write_facts(root / "unknown", 3))
    for path in (suite / "R1" / "train.jsonl", suite / "R2" / "test.jsonl"):
        write_lines(path, [row | {"obj_label": "Atlantis"} for row in read_lines(path)])
    result = ptx("eval", "--method", "random", "--target", model("opt"), "--suite", suite, "--json")
    assert result.code == 1
    rows = {row["task"]: row for row in result.at("eval")}
    assert rows["R2"]["error"] == "task R2: none of its 16 test objects is a word that all models share"
    for row, search in zip(result.at("eval"), result.at("search"), strict=True):
        if row["task"] != "R2":
            check_eval(row, words_of(result), LAYOUTS["postfix"], prompt_of(search))
    assert (rows["R1"]["floor"], rows["R3"]["floor"] is None) == (None, False)


def test_scores_that_float32_cannot_tell_apart(run: Run, model: Models, root: Path, topics: str) -> None:
    """All words are equally likely then, and a right answer has rank 1 still."""
    folder = shutil.copytree(model("causal"), root / "flat")
    network = reference.load(str(folder)).network.float()
    with torch.no_grad():
        network.transformer.ln_f.weight *= 1e-9
        network.transformer.ln_f.bias *= 1e-9
    network.save_pretrained(folder)
    (row,) = run("eval", "--method", "random", "--target", folder, "--suite", topics).at("eval")
    lines = read_lines(Path(row["path"]) / "predictions.jsonl")
    assert {line["probability"] for line in lines} == {0.5}
    assert {line["rank"] for line in lines if line["predicted"] == line["object"]} == {1}
    assert 0 < row["correct"] < len(lines)


def test_scores_that_are_not_finite(ptx: Run, model: Models, root: Path, suite: str) -> None:
    """A model that is damaged where only the longest inputs come to."""
    folder = shutil.copytree(model("masked"), root / "damaged")
    network = reference.load(str(folder)).network.float()
    with torch.no_grad():
        network.bert.embeddings.position_embeddings.weight[30] = torch.nan
    network.save_pretrained(folder)
    result = ptx("eval", "--method", "random", "--target", folder, "--suite", suite)
    assert result.code == 1
    assert f" on {folder}: the scores of some answers are not finite" in result.err


def check_choice(row: Row, kept: int, prompts: dict[int, Tensor], words: Sequence[str], layout: str) -> list[int]:
    """The prompt of a search is the first best of all on dev facts. Returns how many facts each of them gets right."""
    plain, dev = reference.load(row["target"]), facts_of(row, "dev")
    torch.testing.assert_close(prompt_of(row), prompts[kept], rtol=1e-3, atol=1e-3)
    found = {n: reference.score(plain, dev, words, LAYOUTS[layout], prompt) for n, prompt in prompts.items()}
    assert same(row["dev_accuracy"], found[kept])
    most = found[kept].correct + found[kept].unsure
    for n, scored in found.items():
        least = scored.correct - scored.unsure
        assert least <= most if n >= kept else least < most
    return [scored.correct for scored in found.values()]


def test_select_dev_by_adam(run: Run, model: Models, root: Path) -> None:
    """The first best of every fiftieth step, among all shared words; the prompt is the one that a run so long finds."""
    suite = write_facts(root / "selected", 4)
    unlikely = Path(suite) / "R4" / "dev.jsonl"  # no step has one right, not even the start, which takes no part
    write_lines(unlikely, [row | {"obj_label": "name7"} for row in read_lines(unlikely)])
    args = ("--sources", model("masked"), "--target", model("causal"), "--suite", suite, *FAST)
    adam = ("--solver", "adam", "--count", "30")
    result = run("search", *args, *adam, "--steps", "260", "--select", "dev")
    runs = {steps: run("search", *args, *adam, "--steps", steps).at("search") for steps in (50, 100, 150, 200, 250)}
    words, right = words_of(result), []
    for i, row in enumerate(result.at("search")):
        prompts = {steps: prompt_of(rows[i]) for steps, rows in runs.items()}
        right.append(check_choice(row, row["selected_step"], prompts, words, "postfix"))
    assert right[-1] == [0] * 5
    assert any(max(of_task) > of_task[0] for of_task in right)
    assert any(max(of_task) > of_task[-1] or of_task.count(max(of_task)) > 1 for of_task in right[:-1])


def projected(source: Tensor, target: Tensor, prompts: Sequence[Tensor]) -> list[list[Tensor]]:
    """The prompts after each epoch of the projector (Appendix A.2), trained on the embeddings of the same words."""
    order = torch.Generator().manual_seed(0)
    words = torch.randperm(len(source), generator=order)
    torch.manual_seed(0)
    inside, outside = torch.nn.Linear(source.shape[1], 768), torch.nn.Linear(768, target.shape[1])
    network = torch.nn.Sequential(inside, torch.nn.LeakyReLU(), outside)
    adam = torch.optim.Adam(network.parameters(), lr=5e-3)
    found = []
    for _ in range(10):
        for rows in words[torch.randperm(len(words), generator=order)].split(16):
            adam.zero_grad()
            ((network(source[rows]) - target[rows]) ** 2).mean().backward()
            adam.step()
        found.append([network(prompt).detach() for prompt in prompts])
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_select_dev_by_projector(run: Run, model: Models, root: Path, layout: str) -> None:
    """The first best epoch for every task, among all shared words."""
    suite = write_facts(root / f"projected-{layout}", 4)
    args = ("--sources", model("masked"), "--target", model("causal"), "--suite", suite, "--layout", layout, *FAST)
    result = run("search", *args, "--method", "projector", "--select", "dev", "--count", "30")
    words, embeddings, right = words_of(result), [], []
    for name in ("masked", "causal"):
        plain = reference.load(model(name))
        matrix = plain.network.get_input_embeddings().weight.detach().float()
        embeddings.append(matrix[[plain.token(word) for word in words]])
    epochs = projected(embeddings[0], embeddings[1], [prompt_of(row) for row in result.at("tune")])
    for i, row in enumerate(result.at("search")):
        prompts = {number: prompts[i] for number, prompts in enumerate(epochs, start=1)}
        right.append(check_choice(row, row["epoch"], prompts, words, layout))
    assert any(max(of_task) > of_task[0] for of_task in right)
    assert any(max(of_task) > of_task[-1] for of_task in right)
    assert any(of_task.count(max(of_task)) > 1 for of_task in right)


def check_predict(
    result: Result, subjects: Sequence[str], top: int, target: str, words: Sequence[str], template: str, prompt: Tensor
) -> None:
    """The likeliest words in falling order, with probabilities among all of them."""
    plain, rows, count = reference.load(target), result.lines, min(top, len(words))
    tokens = {word: plain.token(word) for word in words}
    assert [(row["subject"], row["rank"]) for row in rows] == [(s, n + 1) for s in subjects for n in range(count)]
    for i, subject in enumerate(subjects):
        part, scores = rows[i * count : (i + 1) * count], plain.scores(template, subject, prompt)
        allowed = torch.tensor([scores[token] for token in tokens.values()], dtype=torch.float64)
        found = torch.tensor([scores[tokens[row["answer"]]] for row in part], dtype=torch.float64)
        assert len({row["answer"] for row in part}) == count
        torch.testing.assert_close(found, allowed.sort(descending=True).values[:count], rtol=0, atol=reference.NEAR)
        wanted = allowed.softmax(0).sort(descending=True).values[:count]
        assert [row["probability"] for row in part] == pytest.approx(wanted.tolist(), abs=1e-3)


@pytest.mark.parametrize(("layout", "top"), [("postfix", 3), ("prefix", 1000)])
def test_predict(run: Run, model: Models, suite: str, layout: str, top: int) -> None:
    """For more subjects than fit into a batch, and with all words asked for."""
    target = model("masked")
    result = run("eval", "--target", target, "--suite", suite, "--tasks", "R1", "--layout", layout, *FAST)
    (tuned,) = result.at("tune")
    subjects = [" ".join(["name"] * (i % 4) + [f"name{i}"]) for i in range(260 if top == 3 else 4)]
    found = run("predict", "--target", target, "--prompt", tuned["key"], "--top", top, input="\n".join(subjects))
    check_predict(found, subjects, top, target, words_of(result), LAYOUTS[layout], prompt_of(tuned))


def test_predict_labels(run: Run, model: Models, topics: str) -> None:
    target = model("causal")
    (tuned,) = run("tune", "--model", target, "--suite", topics, *FAST).at("tune")
    subjects = ["name1 word2", "a", "name3 old word4 of"]
    found = run("predict", "--target", target, "--prompt", tuned["key"], *subjects)
    check_predict(found, subjects, 5, target, labels_of(topics), LAYOUTS["postfix"], prompt_of(tuned))
