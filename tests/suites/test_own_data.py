"""Data as people have them: a file of any columns, without splits, of which a few facts will do for a first look."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from conftest import COUNTRIES, SUBJECTS, make_tokenizer, write_suite, write_topics
from tokenizers import normalizers

from ptx.config import ReadingConfig
from ptx.errors import PtxError, UsageError
from ptx.stages.texts import wordings_of
from ptx.suites import SPLITS, Suite, Task, load_suite
from ptx.suites.asked import named, parted
from ptx.transfer.words import spellings

PAIRS = [(subject, COUNTRIES[i % 3]) for i, subject in enumerate(SUBJECTS)]
TEMPLATE = "[X]'s word1 is [Y] ."


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    """A file without splits, whose columns have names of its own."""
    path = tmp_path / "capitals.csv"
    path.write_text("Country,capital,notes\n" + "".join(f"{s},{o},x\n" for s, o in PAIRS))
    return path


def facts(task: Task) -> list[tuple[str, str]]:
    return [(fact.subject, fact.object) for split in SPLITS for fact in task.splits[split]]


def one_task(name: str) -> Task:
    (task,) = load_suite(name).tasks
    return task


@pytest.mark.parametrize("count", [3, 4, 5, 7, 10, 20])
def test_few_facts_without_a_split_get_all_three(tmp_path: Path, count: int) -> None:
    """Whatever the subjects: the hash alone leaves a split of so few empty now and then."""
    for trial in range(3):
        path = tmp_path / f"{trial}.csv"
        path.write_text("sub_label,obj_label\n" + "".join(f"s{trial}-{i},o{j}\n" for i in range(count) for j in (1, 2)))
        task = one_task(str(path))
        sizes = [len(task.splits[split]) for split in SPLITS]
        assert sum(sizes) == 2 * count
        assert min(sizes) > 0
        subjects = [{fact.subject for fact in task.splits[split]} for split in SPLITS]
        assert not any(one & two for one, two in itertools.combinations(subjects, 2))
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True)[1:])))
        lines = path.read_text()
        path.write_text("sub_label,obj_label\n" + lines)
        again = one_task(str(path))
        assert [{fact.subject for fact in again.splits[split]} for split in SPLITS] == subjects


def test_two_facts_and_facts_with_a_split_stay_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sub_label,obj_label,split\na,o,train\nb,o,\nc,o,train\nd,o,train\n")
    task = one_task(str(path))
    assert {fact.subject for fact in task.splits["train"]} >= {"a", "c", "d"}
    path.write_text("sub_label,obj_label\na,o\nb,o\n")
    assert len(facts(one_task(str(path)))) == 2


def test_a_file_of_test_facts_is_split_by_the_hash_of_a_file_without_splits(tmp_path: Path) -> None:
    plain, marked = tmp_path / "p" / "a.csv", tmp_path / "m" / "a.csv"
    for path, header, end in ((plain, "sub_label,obj_label", ""), (marked, "sub_label,obj_label,split", ",test")):
        path.parent.mkdir()
        path.write_text(f"{header}\n" + "".join(f"{s},{o}{end}\n" for s, o in PAIRS))
    task = one_task(f"split:{marked}")
    assert all(task.splits[split] for split in SPLITS)
    assert task.digest(*SPLITS) == one_task(str(plain)).digest(*SPLITS) == one_task(f"split:{plain}").digest(*SPLITS)
    assert len(one_task(str(marked)).splits["test"]) == len(PAIRS)
    marked.write_text(marked.read_text().replace(",test\n", ",train\n", 1))
    with pytest.raises(PtxError, match="has a column 'split' that tells facts apart already") as raised:
        load_suite(f"split:{marked}")
    assert raised.value.hint.startswith("leave out split:")
    with pytest.raises(PtxError, match="needs a folder, and nowhere is none") as raised:
        load_suite("split:nowhere")
    assert raised.value.hint == "use split:FOLDER or split:FILE"


def test_columns_by_their_own_names(capitals: Path, tmp_path: Path) -> None:
    """In the letter case of the file or not; the facts, and so the keys, are those of renamed columns."""
    renamed = tmp_path / "renamed" / "capitals.csv"
    renamed.parent.mkdir()
    renamed.write_text(capitals.read_text().replace("Country,capital", "sub_label,obj_label"))
    for subject in ("Country", "country"):
        task = one_task(f"{capitals}?columns=subject={subject},object=capital")
        assert task.digest(*SPLITS) == one_task(str(renamed)).digest(*SPLITS)
        assert sorted(facts(task)) == sorted(PAIRS)
    lines = "".join(
        json.dumps({"c": s, "k": [o, "x"], "r": "T", "t": TEMPLATE, "part": "dev"}) + "\n" for s, o in PAIRS
    )
    (tmp_path / "a.jsonl").write_text(lines)
    task = one_task(f"{tmp_path}/a.jsonl?columns=subject=c,object=k,task=r,template=t,split=part")
    assert (task.name, task.template, len(task.splits["dev"])) == ("T", TEMPLATE, len(PAIRS))
    assert {fact.others for fact in task.splits["dev"]} == {("x",)}


def test_columns_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data" / "P1").mkdir(parents=True)
    for split, part in zip(SPLITS, (PAIRS[:4], PAIRS[4:6], PAIRS[6:8]), strict=True):
        text = "".join(json.dumps({"sub_label": "no", "who": s, "where": o}) + "\n" for s, o in part)
        (tmp_path / "data" / "P1" / f"{split}.jsonl").write_text(text)
    task = one_task(f"{tmp_path}/data?columns=subject=who,object=where")
    assert facts(task) == PAIRS[:8]


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        (
            "subject=Land,object=capital",
            "capitals.csv:1: no column 'Land' in Country, capital, notes",
            "--columns says",
        ),
        ("subject=Country,object=capital,task=t", "capitals.csv:1: no column 't' in Country", "--columns says"),
        ("", "capitals.csv:1: no column 'sub_label' in Country", "--columns subject=NAME,object=NAME"),
        ("subject", "--columns: 'subject' does not say what a column is called", "there are subject, object, task"),
        ("subjekt=a", "--columns: 'subjekt=a' does not say what", "write it like --columns subject=country"),
        ("subject=", "--columns: 'subject=' does not say what", "write it like"),
        ("subject=a,object=a", "--columns: 'a' would be two columns", "a column of its own"),
    ],
)
def test_columns_that_are_not_there(capitals: Path, columns: str, message: str, hint: str) -> None:
    with pytest.raises(PtxError) as raised:
        load_suite(f"{capitals}?columns={columns}" if columns else str(capitals))
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_texts_to_classify_have_columns_in_their_description(tmp_path: Path) -> None:
    folder = write_topics(tmp_path / "moods")
    with pytest.raises(PtxError, match="has texts to classify, whose columns are no facts'") as raised:
        load_suite(f"{folder}?columns=subject=text")
    assert "leave --columns out" in raised.value.hint


@pytest.mark.parametrize(
    "reading",
    [
        {"limit": 20},
        {"columns": "subject=Land & Leute,object=100%?"},
        {"template": "Is [X]'s capital [Y]? 100% & more = less"},
        {"columns": "subject=a,object=b", "template": "[X] ist größer als [Y] .", "limit": 1},
    ],
)
def test_a_reading_is_a_part_of_the_name(reading: dict) -> None:
    name = named("my data.csv", ReadingConfig(**reading))
    assert parted(name) == ("my data.csv", ReadingConfig(**reading))
    assert named(name, ReadingConfig()) == name
    changed = named(name, ReadingConfig(limit=7))
    assert parted(changed) == ("my data.csv", ReadingConfig(**{**reading, "limit": 7}))


def test_names_that_have_no_reading() -> None:
    for name in ("facts", "what?.csv", "a?b=c", "a?limit=3&b=c", ""):
        assert parted(name) == (name, ReadingConfig())
    for wrong, message in (
        ("facts?limit=x", "the limit is no whole number"),
        ("facts?limit=0", "--limit 0 is less than 1"),
        ("facts?template=[X] is", r"the template '\[X\] is' needs one \[X\] and one \[Y\]"),
    ):
        with pytest.raises(UsageError, match=message):
            load_suite(wrong)
    with pytest.raises(UsageError, match="say how a suite is read") as raised:
        named("", ReadingConfig(limit=2))
    assert raised.value.hint == "add --suite NAME"


def test_a_template_takes_the_place_of_all_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "Rome,Italy,test,[X] in [Y] .\nRome,Italy,test,[X] of [Y] .\nOslo,Norway,test,\n"
    path.write_text(f"sub_label,obj_label,split,template\n{rows}")
    task = one_task(f"{path}?template={TEMPLATE}")
    assert task.template == TEMPLATE
    assert facts(task) == [("Rome", "Italy"), ("Oslo", "Norway")]
    assert {fact.template for fact in task.splits["test"]} == {None}


def test_a_limit_is_of_each_split_and_stays_whatever_the_order() -> None:
    whole = load_suite("facts")
    some = load_suite("facts?limit=7")
    for before, task in zip(whole.tasks, some.tasks, strict=True):
        for split in SPLITS:
            assert len(task.splits[split]) == min(7, len(before.splits[split]))
            kept = set(task.splits[split])
            assert task.splits[split] == tuple(fact for fact in before.splits[split] if fact in kept)
    assert load_suite("facts?limit=100000").tasks[0].digest(*SPLITS) == whole.tasks[0].digest(*SPLITS)
    more = load_suite("facts?limit=8")
    assert all(set(a.splits["dev"]) < set(b.splits["dev"]) for a, b in zip(some.tasks, more.tasks, strict=True))


def test_a_limit_of_texts_has_all_labels() -> None:
    (task,) = load_suite("topics?limit=24").tasks
    for split in SPLITS:
        words = [fact.object for fact in task.splits[split]]
        assert len(words) == 24
        assert {words.count(label) for label in task.labels} == {2}


def test_from_a_file_of_ones_own_to_a_table(ptx, tiny, capitals: Path) -> None:
    """Columns, template and limit as options; what is shown is of the dev split, which `table` says if not asked."""
    own = ["--suite", "capitals.csv", "--columns", "subject=country,object=capital", "--template", TEMPLATE]
    scored = ptx("eval", "--target", tiny["a"], "--method", "manual", *own, "--split", "dev", "--json")
    assert scored.code == 0, scored.err
    (line,) = scored.at("eval")
    assert line["split"] == "dev"
    assert line["suite"] == f"capitals.csv?columns=subject=country,object=capital&template={TEMPLATE}"
    split_of_own = one_task(f"{capitals}?columns=subject=country,object=capital").splits
    assert line["facts"] == len(split_of_own["dev"])
    shown = ptx("table", "--split", "dev")
    assert shown.code == 0, shown.err
    assert "dev split" in shown.out
    assert "manual" in shown.out
    empty = ptx("table")
    assert empty.code == 1
    assert "error: no test evaluations in" in empty.err
    assert "there is 1 evaluation on dev (`ptx table --split dev`); `ptx eval --split test` makes more" in empty.err
    tuned = ["--epochs", "1", "--json"]
    few = ptx("tune", "--model", tiny["a"], *own, "--limit", "5", *tuned).at("tune")
    many = ptx("tune", "--model", tiny["a"], *own, *tuned).at("tune")
    again = ptx("tune", "--model", tiny["a"], *own, "--limit", "1000", *tuned).at("tune")
    assert (few[0]["facts"], many[0]["facts"]) == (5, len(split_of_own["train"]))
    assert few[0]["key"] != many[0]["key"] == again[0]["key"]
    # a transfer of a prompt by its key finds its suite again, and so does a table
    moved = ptx("search", "--prompt", few[0]["key"], "--target", tiny["b"], "--json")
    assert moved.code == 0, moved.err
    done = ptx("eval", "--target", tiny["b"], "--prompt", moved.at("search")[0]["key"], "--json")
    assert done.at("eval")[0]["facts"] == 5
    assert "left out" not in ptx("table").err


def test_an_empty_table_says_what_there_is(ptx, tiny, suite) -> None:
    assert "hint: run `ptx run demo`" in ptx("table").err
    ptx("tune", "--model", tiny["a"], "--suite", suite, "--epochs", "1")
    assert "hint: there are prompts (2 of tune), which `ptx eval` scores" in ptx("table").err


def test_all_that_is_wrong_with_a_suite_is_said_at_once(ptx, tiny, tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "own", tasks=["R1", "R2"])
    with (folder / "R1" / "dev.jsonl").open("a") as file:
        file.write('{"sub_label": 5, "obj_label": "Peru"}\n{"obj_label": "Peru"}\n')
    with (folder / "R2" / "test.jsonl").open("a") as file:
        file.write("not json\n")
    done = ptx("tune", "--model", tiny["a"], "--suite", "own", "--tasks", "R1")
    assert done.code == 1
    for what in ("R1/dev.jsonl:9: sub_label is 5", "dev.jsonl:10: no column 'sub_label'", "test.jsonl:9: not JSON"):
        assert what in done.err.replace("\n", " ")
    assert "error: own: 3 problems" in done.err
    (folder / "R2" / "train.jsonl").write_text("no\n" * 30)
    with pytest.raises(PtxError, match=": 33 problems") as raised:
        load_suite(str(folder))
    assert len(raised.value.__notes__) == 21
    assert raised.value.__notes__[-1].startswith("... and 13 more: `ptx data check ")


def test_a_file_that_cannot_be_read_at_all_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("not json\n")
    with pytest.raises(PtxError, match=r"a\.jsonl:1: not JSON"):
        load_suite(str(tmp_path / "a.jsonl"))


def test_suites_are_listed_with_counts_and_templates(ptx, capitals: Path) -> None:
    both = ptx("suites", "--json").lines
    assert {row["suite"] for row in both} == {"facts", "topics"}
    suite: Suite = load_suite("facts")
    for row, task in zip([row for row in both if row["suite"] == "facts"], suite.tasks, strict=True):
        assert (row["task"], row["template"], row["title"]) == (task.name, task.template, task.label)
        assert [row[split] for split in SPLITS] == [len(task.splits[split]) for split in SPLITS]
    own = ("suites", "capitals.csv", "--columns", "subject=country,object=capital", "--template", TEMPLATE)
    header, line = ptx(*own, "--limit", "5").out.splitlines()
    assert header.split() == ["task", "train", "dev", "test", "template"]
    assert line.split(maxsplit=4) == ["capitals", "5", "5", "5", TEMPLATE]
    assert ptx("suites", "nothing").code == 1


def test_words_that_are_one_token(ptx, tiny) -> None:
    rows = ptx("words", "--models", f"{tiny['a']},{tiny['b']}", "France", "Atlantis", "France", "--json").lines
    assert rows[0] == {"word": "France", tiny["a"]: "yes", tiny["b"]: "yes", "all": "yes"}
    assert [row["word"] for row in rows] == ["France", "Atlantis"]
    assert rows[1][tiny["a"]] != "yes"
    assert rows[1]["all"] == "no"
    several = ptx("words", "--models", "roberta-micro,bert-micro", "Italian", "Italianish", "--json").lines
    assert several[0]["all"] == "yes"
    assert len(several[1]["bert-micro"].split()) > 1
    assert len(several[1]["roberta-micro"].split()) > 1
    uncased = make_tokenizer(["good", "bad"])
    uncased.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert spellings(uncased, ["Good", "bad", "good"]) == {"Good": "yes", "bad": "yes", "good": "as Good"}
    assert "--models names no model" in ptx("words", "--models", ",", "good").err


def test_a_check_is_of_the_models_that_it_is_given(ptx, tiny, suite) -> None:
    """Embedded ones too, whose sets of words other commands take together."""
    both = ptx("data", "check", suite, "--models", f"{tiny['a']},{tiny['b']}")
    assert "words shared by a, b" in " ".join(both.err.split())
    one, every = (ptx("data", "check", "facts", *models) for models in (["--models", "bert-micro"], []))
    assert "words shared by bert-micro\n" in one.err
    assert "words shared by the zoo's masked LMs: albert-micro, " in every.err
    assert ptx("data", "check", "capitals.csv").code == 1


def test_a_check_of_a_file_of_ones_own(ptx, tiny, capitals: Path) -> None:
    own = ("data", "check", "capitals.csv", "--columns", "subject=country,object=capital", "--models", tiny["a"])
    lines = ptx(*own, "--limit", "5", "--template", TEMPLATE, "--json").lines
    rows = [line for line in lines if "facts" in line]
    assert [row["facts"] for row in rows] == [5, 5, 5]
    assert [line["remark"] for line in lines if "remark" in line] == ["the columns 'Country' read as country"]
    assert {row["template"] for row in rows} == {TEMPLATE}


@pytest.fixture
def paraphrased(tmp_path: Path) -> Path:
    """A suite whose relation has a list of templates, and one that has a single one."""
    folder = write_suite(tmp_path / "several", tasks=("R1", "R2"))
    several = ["[X] is in [Y] .", "The place of [X] is [Y] .", "[X] is in [Y] ."]
    rows = [{"relation": "R1", "template": several}, {"relation": "R2", "template": "[X] is in [Y] ."}]
    (folder / "relations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_several_texts_of_a_task(paraphrased: Path) -> None:
    """The first is the manual prompt; all are texts to start from; `--template` takes the place of all of them."""
    first, second = load_suite(str(paraphrased)).tasks
    assert (first.template, first.paraphrases) == ("[X] is in [Y] .", ("The place of [X] is [Y] .",))
    assert wordings_of(first) == ["is in", "The place of is", ": its place is", ", whose place is"]
    assert (second.template, second.paraphrases) == (first.template, ())
    assert wordings_of(second) == ["is in"]
    asked = load_suite(named(str(paraphrased), ReadingConfig(template="[X] has [Y] ."))).tasks[0]
    assert wordings_of(asked) == ["has"]


def test_the_texts_of_a_task_are_tried_and_listed(paraphrased: Path, tiny, ptx) -> None:
    listed = {row["task"]: row for row in ptx("suites", paraphrased, "--json").lines}
    assert listed["R1"]["paraphrases"] == ["The place of [X] is [Y] ."]
    assert "[X] is in [Y] . (and 1 paraphrase)" in " ".join(ptx("suites", paraphrased).out.split())
    asked = ("--sources", tiny["a"], "--target", tiny["b"], "--suite", paraphrased, "--epochs", 1, "--method", "text")
    (row,) = ptx("search", *asked, "--tasks", "R1", "--json").at("search")
    why = ptx("why", row["key"], "--json").out
    assert "The place of is" in why


def test_a_paraphrase_without_its_places_is_refused(paraphrased: Path) -> None:
    (paraphrased / "relations.jsonl").write_text('{"relation": "R1", "template": ["[X] is in [Y] .", "[X] is"]}\n')
    with pytest.raises(PtxError, match=r"relations.jsonl:1: the template '\[X\] is' needs one \[X\] and one \[Y\]"):
        load_suite(str(paraphrased))


def test_several_texts_of_a_classification(tmp_path: Path) -> None:
    folder = write_topics(tmp_path / "topics")
    description = folder / "suite.toml"
    kept = [line for line in description.read_text().splitlines() if not line.startswith("template")]
    description.write_text("\n".join(['template = ["[X] It is [Y] .", "[X] About [Y] ."]', *kept]))
    (task,) = load_suite(str(folder)).tasks
    assert (task.template, task.paraphrases) == ("[X] It is [Y] .", ("[X] About [Y] .",))
    assert wordings_of(task) == ["It is", "About"]
