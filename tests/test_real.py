"""The proving ground (benchmarks/real) on tiny random models of the real ones' classes and kinds of tokenizer."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import families
import pytest
import scipy.stats
import torch
from conftest import COUNTRIES
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks.real import __main__ as real  # noqa: E402
from benchmarks.real import ahead, cells, data, measure, models, page, results, work  # noqa: E402
from ptx.config.tune import TuneConfig  # noqa: E402
from ptx.errors import PtxError  # noqa: E402

# Tiny random models hardly learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")

PARTS = 3


def gemma_tokenizer() -> PreTrainedTokenizerFast:
    """BPE over whole sentences with ▁ for spaces, and thousands of tokens that no test writes."""
    made: Any = families.byte_fallback()
    whole = json.loads(made.backend_tokenizer.to_str())
    vocabulary = whole["model"]["vocab"]
    vocabulary |= {f"▁unused{i}": len(vocabulary) + i for i in range(5000)}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", **roles)


def wheel(folder: Path, name: str, content: dict[str, bytes]) -> None:
    """A wheel that pip takes."""
    about = f"{name}-1.0.dist-info"
    plain = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "RECORD": "",
             "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for file, text in plain.items():
            archive.writestr(f"{about}/{file}", text)
        for file, held in content.items():
            archive.writestr(f"{name}/data/{file}", held)


def packed(folder: Path) -> bytes:
    """A model's folder as one file, in place of GGUF."""
    file = folder.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return file.read_bytes()


def convert(file: Path, folder: Path) -> None:
    """As from_gguf does, of such a file."""
    with zipfile.ZipFile(file) as archive:
        archive.extractall(file.parent / "whole")
    whole = str(file.parent / "whole")
    models.keep(AutoModelForCausalLM.from_pretrained(whole), AutoTokenizer.from_pretrained(whole), folder)


class Published:
    """Two models in wheels, one of them in parts, and LAMA's data in OptiPrompt's layout."""

    def __init__(self, root: Path) -> None:
        self.root, self.wheels, self.lama = root, root / "wheels", root / "lama"
        llama = packed(families.make("llama", root / "llama", families.tiktoken_style()))
        gemma = packed(families.make("gemma3", root / "gemma", gemma_tokenizer()))
        wheel(self.wheels, "tiny_llama", {"llama.gguf": llama})
        size = -(-len(gemma) // PARTS)
        for i in range(PARTS):
            wheel(self.wheels, f"tiny_gemma_part{i}", {f"gemma.gguf.part{i:02}": gemma[i * size : (i + 1) * size]})
        parts = tuple(f"tiny-gemma-part{i}==1.0" for i in range(PARTS))
        of = models.Source
        self.sources = (
            of("llama", ("tiny-llama==1.0",), "llama.gguf", hashlib.sha256(llama).hexdigest(), "none"),
            of("gemma", parts, "gemma.gguf", hashlib.sha256(gemma).hexdigest(), "none"),
        )
        relations = []
        for name, count in (("P103", 250), ("P17", 130), ("P30", 90)):
            draw = random.Random(name)
            facts = [(f"{draw.choice(families.WORDS)} {i}", draw.choice([*COUNTRIES, "Liechtenstein"]))
                     for i in range(count + 40)]  # fmt: skip
            folder = self.lama / "data" / "autoprompt_data" / name
            folder.mkdir(parents=True)
            for split, part in (("train", facts[:count]), ("dev", facts[count:-20]), ("test", facts[-20:])):
                lines = [json.dumps({"sub_label": s, "obj_label": o}) + "\n" for s, o in part]
                (folder / f"{split}.jsonl").write_text("".join(lines))
            relations.append({"relation": name, "label": name, "template": "[X] is in [Y] ."})
        (self.lama / "relation_metainfo").mkdir()
        text = "".join(json.dumps(relation) + "\n" for relation in relations)
        (self.lama / "relation_metainfo" / "LAMA_relations.jsonl").write_text(text)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("published"))


def use(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip look into the folder of wheels alone, and let the package gguf be there, which no test needs."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(published.wheels))
    monkeypatch.setattr(models, "find_spec", lambda name: object())


@pytest.fixture(autouse=True)
def _wheels(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    use(published, monkeypatch)


@pytest.fixture(scope="module")
def fetched(published: Published) -> Path:
    """A folder with both models, fetched."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(published, monkeypatch)
        for source in published.sources:
            models.fetch(source, published.root / "models", convert, lambda text: None)
    return published.root / "models"


def test_models_are_fetched_joined_checked_and_kept_in_bfloat16(published: Published, fetched: Path) -> None:
    assert sorted(path.name for path in fetched.iterdir()) == ["gemma", "llama"]  # nothing is left behind
    for name, source in zip(("llama", "gemma"), published.sources, strict=True):
        assert models.digest_of(fetched / name) == source.sha256
        kept = AutoModelForCausalLM.from_pretrained(fetched / name)
        whole = AutoModelForCausalLM.from_pretrained(published.root / name)
        assert type(kept) is type(whole)
        assert {p.dtype for p in kept.parameters()} == {torch.bfloat16}
        for (one, a), (two, b) in zip(kept.state_dict().items(), whole.state_dict().items(), strict=True):
            assert one == two
            assert torch.equal(a, b.to(torch.bfloat16))


def test_what_still_calls_itself_quantized_is_kept_without_that(tmp_path: Path) -> None:
    folder = families.make("llama", tmp_path / "one", families.tiktoken_style())
    network = AutoModelForCausalLM.from_pretrained(folder)
    network.config.quantization_config = {"quant_method": "gguf"}
    models.keep(network, AutoTokenizer.from_pretrained(folder), tmp_path / "two")
    assert not hasattr(AutoConfig.from_pretrained(tmp_path / "two"), "quantization_config")


def test_models_that_are_there_are_not_fetched_again(published: Published, fetched: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(models, "download", lambda *args: pytest.fail("fetched again"))
    told: list[str] = []
    assert models.fetch(published.sources[0], fetched, convert, told.append) == fetched / "llama"
    assert told == []
    record = fetched / "gemma" / models.RECORD
    before = record.read_text()
    record.write_text(before.replace(published.sources[1].sha256, "0" * 64))
    with pytest.raises(PtxError, match=f"{fetched / 'gemma'} was made of another file, 000000000000"):
        models.fetch(published.sources[1], fetched, convert, told.append)
    record.unlink()
    assert models.fetch(published.sources[1], fetched, convert, told.append) == fetched / "gemma"
    assert told == [f"{fetched / 'gemma'} is taken as it is: nothing there says what it was made of"]
    record.write_text(before)


def test_another_file_than_was_published_is_an_error(published: Published, tmp_path: Path, capsys: Any) -> None:
    sources = [models.Source("llama", ("tiny-llama==1.0",), "llama.gguf", "0" * 64, "none")]
    assert real.main(["--models", str(tmp_path / "m"), "--work", str(tmp_path)], convert=convert, sources=sources) == 1
    said = capsys.readouterr().err
    assert (
        f"error: llama.gguf has the SHA-256 {published.sources[0].sha256[:12]}..., not 000000000000...\nhint:" in said
    )
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize(
    ("package", "file", "reason"),
    [
        ("no-such-package==1.0", "x.gguf", "pip cannot download no-such-package==1.0: ERROR: No matching distribution"),
        ("tiny-llama==1.0", "other.gguf", "the packages hold no other.gguf"),
        (None, "x.gguf", "llama is a GGUF file, read by the package gguf (run `pip install gguf`)"),
    ],
)
def test_where_models_cannot_be_had_nothing_fails_and_nothing_is_written(
    package: str | None, file: str, reason: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    if package is None:
        monkeypatch.setattr(models, "find_spec", lambda name: None)
    sources = [models.Source("llama", (package or "",), file, "0" * 64, "none")]
    out = tmp_path / "out"
    assert real.main(["--work", str(tmp_path / "w"), "--output", str(out)], convert=convert, sources=sources) == 0
    assert f"nothing is measured: {reason}" in capsys.readouterr().err
    assert not out.exists()


def test_where_the_data_cannot_be_had_nothing_fails(published: Published, fetched: Path, tmp_path: Path, capsys: Any,
                                                    monkeypatch: Any) -> None:  # fmt: skip
    monkeypatch.setattr("ptx.suites.fetching.fetch.SOURCES", {name: str(tmp_path / "no") for name, _ in data.ARCHIVES})
    args = ["--models", str(fetched), "--work", str(tmp_path / "w"), "--output", str(tmp_path / "out")]
    assert real.main(args, sources=published.sources) == 0
    assert "nothing is measured: LAMA's data cannot be fetched into" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_cut_has_known_objects_only_and_is_the_same_every_time(published: Published, tmp_path: Path) -> None:
    suite = data.read(published.lama)
    cut = data.cut(suite, set(COUNTRIES), tmp_path / "one")
    data.cut(data.read(published.lama / "data" / "autoprompt_data"), set(COUNTRIES), tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jsonl"))
    assert [(tmp_path / "one" / f).read_bytes() for f in files] == [(tmp_path / "two" / f).read_bytes() for f in files]
    assert list(cut.counts) == ["P17", "P103"]
    given = {t.name: {f.subject: f.object for f in t.splits["train"]} for t in suite.tasks}
    assert cut.left_out == {"P30": sum(o in COUNTRIES for o in given["P30"].values())}
    lines = [json.loads(line) for line in (tmp_path / "one" / "P103" / "train.jsonl").read_text().splitlines()]
    assert len(lines) == cut.counts["P103"]["train"] == 192
    assert all(given["P103"][line["sub_label"]] == line["obj_label"] in COUNTRIES for line in lines)
    assert len({line["sub_label"] for line in lines}) == 192
    with pytest.raises(PtxError, match="no relation has 100 train facts whose object both models know"):
        data.cut(suite, {"Liechtenstein"}, tmp_path / "three")
    with pytest.raises(PtxError, match="has no autoprompt_data/"):
        data.read(tmp_path)


class Counted:
    """Runs jobs in this process, and counts their cells: one after the other, as models in memory are shared."""

    def __init__(self) -> None:
        self.cells = 0
        self.lock = threading.Lock()

    def __call__(self, job: work.Job) -> list[str]:
        with self.lock:
            self.cells += len(job.cells)
            return work.here(job)


def test_a_run_that_was_killed_goes_on_and_the_next_does_nothing(
    published: Published, fetched: Path, tmp_path: Path, capsys: Any
) -> None:
    args = ["--models", str(fetched), "--lama", str(published.lama), "--work", str(tmp_path / "w")]
    found = {source.name: fetched / source.name for source in published.sources}
    plan = measure.prepare(found, published.lama, tmp_path / "w", {})
    own, _ = measure.cells_of(plan, list(plan.counts), [])
    tuned = tmp_path / "w" / "cache" / "v1" / "tune"
    job = work.Job("home-llama", tuple(own["llama"]), plan.place, tmp_path / "w" / "peaks" / "home-llama")
    with work.start(job) as process:
        until = time.monotonic() + 600
        while not list(tuned.glob("[!.]*/meta.json")) and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    first = {path: path.stat().st_mtime_ns for path in tuned.glob("[!.]*/meta.json")}
    assert 1 <= len(first) < len(plan.counts) * 2

    each = Counted()
    assert real.main([*args, "--output", str(tmp_path / "one")], each=each, sources=published.sources) == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    said = capsys.readouterr().err
    assert "llama: none; gemma: none; nothing of these models is in this repository\n" in said
    assert "gemma: 2 prompts to tune in " in said
    assert "hours with" in said
    assert each.cells > 20
    text = (tmp_path / "one" / "README.md").read_text("utf-8")
    for row in ("random", "discretize", "projector", "relative", "relative, mask source", "tuned"):
        assert f"\n| {row} | " in text
    assert "## The accuracy to expect" in text
    assert "Left out, with their usable train facts: P30 (" in text
    assert published.sources[0].sha256 in text
    made = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(made) == {
        "README.md",
        "table.csv",
        *(f"{name}.{kind}" for name in ("tuned", "gap", "forecast") for kind in ("png", "svg", "pdf")),
    }

    again = Counted()
    assert real.main([*args, "--output", str(tmp_path / "two")], each=again, sources=published.sources) == 0
    assert again.cells == 0
    assert "all is in the cache" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == made


def test_a_process_ends_with_the_one_that_started_it(published: Published, fetched: Path, tmp_path: Path) -> None:
    place = cells.Place({"llama": str(fetched / "llama")}, "facts", str(tmp_path), "")
    assert work.apart(work.Job("none", (), place, tmp_path / "peak")) == []
    long = (cells.Cell("llama", "tuned", "P17", "dev"),) * 1000
    with work.start(work.Job("long", long, place, tmp_path / "peak")) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=600) == 1


def test_a_process_that_dies_is_an_error(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(PtxError, match="the process for one ended with 1"):
        work.apart(work.Job("one", (), cells.Place({}, "", "", ""), tmp_path / "peak"))


def test_part_of_the_relations_stays_out_of_the_documents(published: Published, fetched: Path, tmp_path: Path,
                                                          capsys: Any) -> None:  # fmt: skip
    args = ["--models", str(fetched), "--lama", str(published.lama), "--work", str(tmp_path)]
    assert real.main([*args, "--relations", "P30"], each=Counted(), sources=published.sources) == 1
    assert "error: P30: no such relation with enough facts\nhint: use P17, P103" in capsys.readouterr().err
    wanted = ["--relations", "P17", "--transfers", "none", "--quick"]
    assert real.main([*args, *wanted, "--dry-run"], each=Counted(), sources=published.sources) == 0
    said = capsys.readouterr().err
    assert "1 relations: P17; transfers on 0\n" in said
    train = len((tmp_path / "suite" / "P17" / "train.jsonl").read_text("utf-8").splitlines())
    assert f"llama: 1 prompts to tune in {-(-train // TuneConfig().batch_size)} steps, " in said
    assert not (tmp_path / "results").exists()
    assert real.main([*args, *wanted], each=Counted(), sources=published.sources) == 0
    text = (tmp_path / "results" / "README.md").read_text("utf-8")
    assert "Only a part: " in text
    assert "## Transfers" not in text
    assert not (tmp_path / "results" / "gap.png").exists()


def score(accuracy: float, floor: float = 0.2) -> cells.Score:
    return cells.Score(accuracy, floor, 10, Path(), ())


def made_up() -> results.Results:
    found = {}
    for i, task in enumerate(("P1", "P2", "P3")):
        for method, source, value in (
            ("tuned", "", 0.8),
            ("manual", "", 0.1 + 0.2 * i),
            ("relative", "a", 0.5 + 0.1 * i),
        ):
            if (method, task) != ("manual", "P3"):
                found[cells.Cell("b", method, task, "test", source)] = score(value)
    return results.Results(found, {})


def test_means_shares_and_wins() -> None:
    found = made_up()
    tasks = ["P1", "P2", "P3"]
    value, interval = results.mean(found.of("b", "test", "relative", "a"), tasks) or (0, None)
    assert value == pytest.approx(60)
    assert interval is not None
    assert interval == pytest.approx((50, 70))  # of three relations, all of one kind are drawn in 2 of 27 cases
    floor, ceiling = (found.of("b", "test", row) for row in ("majority", "tuned"))
    assert (results.gap(found.of("b", "test", "relative", "a"), floor, ceiling, tasks) or (0,))[0] == pytest.approx(
        100 * (0.6 - 0.2) / (0.8 - 0.2)
    )
    assert results.gap(ceiling, ceiling, floor, tasks) is None  # nothing to close
    assert results.mean({}, tasks) is None
    assert page._wins(found, "b", "test") == "3 of 3, 2 of 2, 2"
    assert cells.halves(["P30", "P103", "P17"]) == (["P103", "P30"], ["P17"])


def test_forecasts_are_held_against_dev_facts_and_test_facts() -> None:
    expected, floor = (0.1, 0.3, 0.6, 0.5), 0.2
    came = {"dev": (0.0, 0.35, 0.55, 0.2), "test": (0.9, 0.5, 0.7, 0.6)}
    found = {
        cells.Cell("b", "auto", f"P{i}", split, "a"): cells.Score(of[i], floor, 10, Path(), (), expected[i])
        for split, of in came.items()
        for i in range(4)
    }
    found[cells.Cell("b", "relative", "P1", "test", "a")] = score(0.5)
    text = page.expectations(results.Results(found, {}))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| auto")]
    ranks = [scipy.stats.spearmanr(expected, came[split]).statistic for split in ("dev", "test")]
    told = [f"{rank:.2f}" for rank in ranks]
    assert rows == [["| auto", "4", "37.5", "27.5", told[0], "1 of 3", "67.5", told[1], "0 of 3 |"]]
    assert "relative" not in text
    assert page.expectations(made_up()) == ""


def test_hours_are_counted_from_steps_and_answers() -> None:
    of = ahead.Ahead("m", tunings=2, steps=7200, answers=0, step=0.5)
    assert of.hours == pytest.approx(1.0)
    assert str(of) == "m: 2 prompts to tune in 7,200 steps, 0 answers; 0.5 s a step: 1.0 hours"
    batch = TuneConfig().batch_size
    assert ahead.Ahead("m", 0, 0, 7200 * batch, 0.5).hours == pytest.approx(1.0)


def test_methods_of_ptx_appear_by_themselves(published: Published, fetched: Path, monkeypatch: Any) -> None:
    from ptx.stages import methods
    from ptx.stages.methods.method import Method

    kinds = {"fresh": Method("fresh", sources=1), "alone": Method("alone", sources=0)}
    known = methods.method_named
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "fresh": "search", "alone": "search"})
    monkeypatch.setattr(methods, "method_named", lambda name: kinds.get(name) or known(name))
    place = cells.Place({name: str(fetched / name) for name in ("llama", "gemma")}, "", "", "")
    rows = {(cell.row, cell.source) for cell in cells.moved("gemma", "llama", ["P17"], place)}
    assert {("fresh", "llama"), ("alone", ""), ("relative, top-k all", "llama"), ("direct", "llama")} <= rows
    assert not {"tuned", "manual", "imported"} & {row for row, _ in rows}
