"""What the YAML file of a task of the lm-evaluation-harness says, by its keys: ptx follows some, some change nothing,
and the others are refused with a reason. Code that a file names is never run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ptx.errors import PtxError, first_line, shown
from ptx.suites.lines import text_lines
from ptx.suites.rows import spelled

USED = (
    "task", "dataset_path", "dataset_name", "dataset_kwargs", "training_split", "validation_split", "test_split",
    "output_type", "doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter", "num_fewshot",
)  # fmt: skip
# What changes nothing without examples, or only figures beside accuracy.
LEFT_ALONE = (
    "task_alias", "tag", "metadata", "metric_list", "should_decontaminate", "doc_to_decontamination_query", "repeats",
    "fewshot_split", "fewshot_config", "fewshot_delimiter", "generation_kwargs",
)  # fmt: skip
REASONS = {
    "process_docs": "it rewrites examples by code",
    "process_results": "it counts what is right by code",
    "custom_dataset": "it makes examples by code",
    "class": "it is a Python class",
    "unsafe_code": "it runs code",
    "use_prompt": "its prompt is promptsource's",
    "gen_prefix": "it puts words before the answer",
    "filter_list": "it rewrites answers",
    "doc_to_image": "ptx asks with texts alone",
    "doc_to_audio": "ptx asks with texts alone",
    "group": "it is a group of tasks",
    "task_list": "it is a group of tasks",
}
HINT = "ptx takes tasks of output_type multiple_choice with the same one-word choices for all examples"


@dataclass(frozen=True)
class Function:
    """What `!function` names."""

    name: str


class _Loader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]  # where there are no stubs
    pass


_Loader.add_constructor("!function", lambda loader, node: Function(str(loader.construct_scalar(node))))


def keys_of(path: Path) -> dict[str, Any]:
    """The keys of a task's file, and of those that it includes. Raises PtxError for what ptx does not do, by name."""
    keys = _read(path, path.parent, ())
    _check(keys, path)
    return keys


def _read(path: Path, folder: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The keys of a file, and of those that it includes, which its own replace. Raises PtxError."""
    hint = "see https://yaml.org for how YAML is written"
    try:
        found = yaml.load("".join(text_lines(path)), Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise PtxError(f"{where}: no YAML: {getattr(error, 'problem', None) or first_line(error)}", hint) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise refused(path, "it is not a list of keys and values", hint)
    included = found.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        other = (path.parent / str(name)).resolve()
        if not other.is_relative_to(folder.resolve()):
            raise refused(path, f"include: {name} is outside of its folder", "copy what it includes beside it")
        if other in above or not other.is_file():
            raise refused(path, f"include: {name} {'includes itself' if other in above else 'is no file'}")
        merged |= _read(other, folder, (*above, path.resolve()))
    merged.pop("task_list", None)
    return merged | found


def _check(keys: Mapping[str, Any], path: Path) -> None:
    """Raise PtxError for keys by which the harness would do what ptx does not."""
    if isinstance(keys.get("task"), list):
        raise refused(path, f"task: {REASONS['group']}", "name the file of one of its tasks")
    for key, value in keys.items():
        if not value or key in LEFT_ALONE:
            continue
        if key in REASONS:
            raise refused(path, f"{key}: {REASONS[key]}")
        if isinstance(value, Function):
            raise refused(path, f"{key}: !function {value.name} is code, which ptx does not run")
        if key not in USED:
            raise refused(path, f"{key}: a key that ptx does not know")
    kind = keys.get("output_type", "generate_until")
    if kind != "multiple_choice":
        raise refused(path, f"output_type: {kind} is no choice among words")
    if keys.get("num_fewshot"):
        raise refused(path, "num_fewshot: ptx asks without examples", "set it to 0, or leave it out")
    for key in ("task", "dataset_path", "doc_to_text", "doc_to_target", "doc_to_choice"):
        if keys.get(key) is None:
            raise refused(path, f"{key} is missing")
    texts = ("task", "dataset_path", "doc_to_text", "description", "target_delimiter", "dataset_name")
    for key in (*texts, "training_split", "validation_split", "test_split"):
        if not isinstance(keys.get(key) or "", str):
            raise refused(path, f"{key}: {spelled(keys[key])} is no text")


def refused(path: Path, what: str, hint: str = HINT) -> PtxError:
    return PtxError(f"{path}: {shown(what)}", hint)
