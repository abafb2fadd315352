"""The lm-evaluation-harness itself, where it is installed, scores an exported adapter as ptx scores the prompt."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PAPER_TUNING
from families import WORDS, make

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="needs `pip install lm_eval`")
WORDS_OF = ("war", "peace")


def write_task(folder: Path) -> None:
    rng = random.Random(0)
    rows = [{"sentence": " ".join(rng.choices(WORDS, k=6)), "label": rng.randrange(2)} for _ in range(80)]
    for name, part in (("train", rows[:40]), ("test", rows[40:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    keys = {
        "task": "moods", "dataset_path": "json", "output_type": "multiple_choice", "doc_to_target": "label",
        "dataset_kwargs": {"data_files": {split: f"{folder}/{split}.jsonl" for split in ("train", "test")}},
        "training_split": "train", "test_split": "test", "doc_to_text": "{{sentence}}\nIs it war?\nIt is",
        "doc_to_choice": WORDS_OF, "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    (folder / "moods.yaml").write_text(json.dumps(keys))


def by_harness(folder: Path, base: str, *more: str) -> tuple[float, list[str]]:
    """Accuracy, and the answer to each example in their order."""
    own = os.environ | {"HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    model = ",".join([f"pretrained={base}", "dtype=float32", "add_bos_token=False", *more])
    out = folder / f"out{len(more)}"
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", model, "--tasks", "moods"]
    command += ["--include_path", str(folder), "--device", "cpu", "--batch_size", "8", "--log_samples"]
    command += ["--output_path", str(out)]
    done = subprocess.run(command, env=own, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = out.rglob("results_*.json")
    (samples,) = out.rglob("samples_*.jsonl")
    lines = sorted(map(json.loads, samples.read_text().splitlines()), key=lambda line: line["doc_id"])
    found = [max(range(2), key=lambda i: float(line["filtered_resps"][i][0])) for line in lines]
    return json.loads(results.read_text())["results"]["moods"]["acc,none"], [WORDS_OF[i] for i in found]


def test_an_adapter_scores_alike(ptx, tmp_path: Path) -> None:
    base = str(make("gpt2", tmp_path / "gpt2"))
    write_task(tmp_path)
    asked = ["--suite", "lmeval:moods.yaml", "--layout", "prefix", "--epochs", "1", *PAPER_TUNING, "--json"]
    tuned = ptx("eval", "--target", base, *asked)
    assert tuned.code == 0, tuned.err
    manual = ptx("eval", "--target", base, "--method", "manual", "--suite", "lmeval:moods.yaml", "--json")
    assert ptx("export", tuned.at("tune")[0]["key"], "--to", "peft", "--output", "adapter").code == 0
    assert "Texts begin without a space" in Path("adapter/README.md").read_text()
    answers = {}
    for name, result, more in (("tuned", tuned, [f"peft={tmp_path}/adapter"]), ("manual", manual, [])):
        (line,) = result.at("eval")
        ours = [json.loads(text) for text in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]
        accuracy, answers[name] = by_harness(tmp_path, base, *more)
        assert accuracy == pytest.approx(line["accuracy"], abs=1e-9)
        assert line["facts"] == 40
        assert answers[name] == [fact["predicted"] for fact in ours]
    assert answers["tuned"] != answers["manual"]  # the adapter matters
