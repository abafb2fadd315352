"""Write each model's accuracies on the facts test split into its card: `python -m ptx.zoo.cards [CACHE_FOLDER]`."""

import json
import sys
import tempfile
from pathlib import Path

from ptx.cache import Store
from ptx.lms.catalogue import card
from ptx.lms.models import ZOO_FOLDER, zoo
from ptx.output import Output
from ptx.pipeline import Pipeline
from ptx.plan import default_anchors, grid
from ptx.settings import Settings
from ptx.stages.results import collect
from ptx.stages.table import tables

METHODS = ("random", "manual", "tuned")


def main(folder: Path) -> None:
    settings, out = Settings(), Output()
    store = Store(folder, out.warn)
    shared, _ = default_anchors(zoo(), settings)
    goals = list(grid([(method, [], name) for name in zoo() for method in METHODS], settings, shared))
    Pipeline(store, out, jobs=2).run(goals)
    (table,) = tables(collect(store, keys=[goal.key for goal in goals]))
    for name in zoo():
        rows = {row["method"]: round(row["micro"], 4) for row in table.records if row["target"] == name}
        filled = card(name) | {"accuracy": {"split": "test", "average": "micro", **rows}}
        (ZOO_FOLDER / name / "card.json").write_text(json.dumps(filled, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
