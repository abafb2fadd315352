"""Peak memory of the stages `encode` and `search` for 41 tasks, in processes of their own.

The stages run as in a command: steps, store, builders, on a random model of BERT-base size in a temporary folder, with
a file of 17,230 words as anchors and a random prompt per task already in the store. From a process's peak (VmHWM of
/proc/self/status, which starts anew with each program; else `ru_maxrss`) that of a process which imports the same
modules and ends is subtracted. The bound is what the stage's input needs once, in float32: the model's weights and
one matrix of anchors, k x d.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.report import Row
from benchmarks.synthetic import SPECIAL, save_bert
from ptx import formats
from ptx.cache import Store
from ptx.engine.ahead import Ahead
from ptx.engine.build import Outcome, publish
from ptx.engine.meter import Meter
from ptx.engine.pipeline import Pipeline
from ptx.engine.step import Payload, Step
from ptx.formats.tensors import to_bytes
from ptx.lms import lm
from ptx.lms.models import resolve
from ptx.stages.anchors import word_file_step
from ptx.stages.encode import encode_step
from ptx.stages.search import search_step
from ptx.stages.settings import Settings
from ptx.stages.tune import FILE, tune_step
from ptx.suites import Fact, Task
from ptx.transfer import equations, solvers, target

STAGES = ("encode", "search")
IMPORTED = (formats, lm, equations, solvers, target)  # what the stages import when they are needed
VECTORS = 5


class Quiet:
    """A reporter that says nothing."""

    def watch(self, meter: Meter, before: Ahead) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def message(self, text: str) -> None: ...
    def detail(self, *parts: object) -> None: ...
    def warn(self, text: str) -> None: ...


def steps(folder: Path, tasks: int) -> dict[str, list[Step]]:
    """The steps of all stages for the model and words in a folder. Only their files are read."""
    settings = Settings()
    model = resolve(str(folder / "model"))
    anchors = word_file_step(folder / "words.txt", [model.name], settings)
    facts = {split: (Fact("w1", "w2"),) for split in ("train", "dev", "test")}
    named = [Task(f"T{i}", "", None, facts) for i in range(tasks)]
    tuned = [tune_step(model, task, settings) for task in named]
    encoded = [encode_step(step, anchors, settings) for step in tuned]
    pairs = zip(tuned, named, strict=True)
    searched = [search_step("relative", [step], model, task, anchors, settings) for step, task in pairs]
    return {"anchors": [anchors], "tune": tuned, "encode": encoded, "search": searched}


def prepare(folder: Path, *, tasks: int, anchors: int, vocabulary: int, width: int, layers: int) -> float:
    """Model, words, anchors and prompts in a folder; returns the bytes of weights and one anchor matrix."""
    save_bert(folder / "model", vocabulary=vocabulary, width=width, layers=layers)
    (folder / "words.txt").write_text("".join(f"w{i}\n" for i in range(anchors)))
    assert anchors <= vocabulary - len(SPECIAL)
    made = steps(folder, tasks)
    store = Store(folder / "cache")
    run(made["anchors"], store)
    random = torch.Generator().manual_seed(0)
    for step in made["tune"]:
        prompt = 0.02 * torch.randn(VECTORS, width, generator=random)
        publish(step, Payload({FILE: to_bytes(prompt)}), store, "cpu")
    return (folder / "model" / "model.safetensors").stat().st_size + 4 * anchors * width


def run(goals: Sequence[Step], store: Store) -> list[Outcome]:
    """Build the goals. Raises the error of one that fails."""
    outcomes = Pipeline(store, Quiet(), device="cpu").run(goals)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return outcomes


def peak() -> int:
    """The most bytes this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def child(folder: Path, tasks: int, stage: str) -> int:
    """The peak, in bytes, of a process that builds one stage ("imports": none)."""
    command = [sys.executable, "-m", "benchmarks.memory", str(folder), str(tasks), stage]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows(quick: bool) -> list[Row]:
    size = (
        {"tasks": 41, "anchors": 8000, "vocabulary": 12000, "width": 512, "layers": 6}
        if quick
        else {"tasks": 41, "anchors": 17230, "vocabulary": 28996, "width": 768, "layers": 12}
    )
    made = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bound = prepare(folder, **size)
        imports = child(folder, size["tasks"], "imports")
        for stage in STAGES:
            used = child(folder, size["tasks"], stage) - imports
            made.append(
                Row(
                    f"peak memory of `{stage}`, {size['tasks']} tasks, {size['anchors']:,} anchors, width "
                    f"{size['width']}",
                    used / 1e6,
                    bound / 1e6,
                    1.3,
                    at_least=False,
                    unit="MB",
                    note=f"above {imports / 1e6:.0f} MB for imports; against weights and one anchor matrix, float32",
                )
            )
    return made


if __name__ == "__main__":
    where, count, wanted = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if wanted in STAGES:
        run(steps(where, count)[wanted], Store(where / "cache"))
    print(peak())
