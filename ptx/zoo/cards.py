"""Write each model's accuracies on the facts test split into its card: `python -m ptx.zoo.cards [CACHE_FOLDER]`."""

import json
import sys
import tempfile
from pathlib import Path

from ptx.cache import Store
from ptx.cli.output import Output
from ptx.engine.pipeline import Pipeline
from ptx.lms.catalogue import card
from ptx.lms.known import ZOO_FOLDER, zoo
from ptx.results.collect import evaluations as scored
from ptx.results.collect import result_of
from ptx.results.table import tables
from ptx.stages.anchors import default_anchors
from ptx.stages.grid import evaluations
from ptx.stages.settings import Settings

METHODS = ("random", "manual", "tuned")


def main(folder: Path) -> None:
    settings, out = Settings(), Output()
    store = Store(folder, out.warn)
    shared, _ = default_anchors(zoo(), settings)
    goals = list(evaluations([(method, [], name) for name in zoo() for method in METHODS], settings, shared))
    Pipeline(store, out, jobs=2).run(goals)
    (table,) = tables([*map(result_of, scored(store, keys=[goal.key for goal in goals]))])
    for name in zoo():
        rows = {row["method"]: round(row["micro"], 4) for row in table.records if row["target"] == name}
        filled = card(name) | {"accuracy": {"split": "test", "average": "micro", **rows}}
        (ZOO_FOLDER / name / "card.json").write_text(json.dumps(filled, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
