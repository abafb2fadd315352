"""`--strict`: an object that is not one allowed word is an error, instead of a fact that is dropped and counted."""

from collections.abc import Container, Sequence

from ptx.errors import PtxError
from ptx.suites.task import Fact, Task

NOT_SHARED = "are not words that all models share"
SEVERAL_TOKENS = "are not one token where the template puts them"


def refuse_dropped(task: Task, dropped: Sequence[Fact], of: int, why: str) -> None:
    """Raise PtxError naming the first facts that would be left out because of their objects, if the task is strict."""
    if task.strict and dropped:
        named = ", ".join(f"{fact.object!r} ({fact.where or fact.subject})" for fact in dropped[:3])
        hint = "correct or remove these facts (`ptx data check` lists them), or leave out --strict to drop them"
        raise PtxError(f"task {task.name}: {len(dropped)} of {of} objects {why}: {named}", hint)


def refuse_unknown(task: Task, known: Container[str], model: str) -> None:
    """The same for objects that tuning leaves out, since they are not one token in the model (not `known`)."""
    for split in ("train", "dev"):
        dropped = [fact for fact in task.splits[split] if not fact.known(known)]
        refuse_dropped(task, dropped, len(task.splits[split]), f"of {split} are not one token in {model}")
