"""What an evaluation answered, fact by fact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def predictions(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a file of predictions, by what tells a fact from the others of its task."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    names = ("subject", "object", "template", "others")
    return {json.dumps([line.get(name) for name in names]): line for line in lines}


def is_right(line: Mapping[str, Any]) -> bool:
    """Whether it is the object, or one of those that are as right."""
    return line["predicted"] in (line["object"], *(line.get("others") or ()))
