"""Functions called by another process, which gets ready while this one does something else."""

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

Ask = Callable[..., Callable[[], Any]]


class Lost(Exception):
    """The other process has ended before it answered."""


@contextlib.contextmanager
def beside(module: str) -> Iterator[Ask]:
    """A process that imports a module, and then calls what it is asked to. Answers are waited for in the order of the
    questions; one is Lost with the process. This ends with the block, whatever it is at, and soon after its parent.

    (A pool of loky's takes a third of a second to start, in which this process could do something else.)
    """
    program = [sys.executable, "-P", "-c", f"from {__name__} import _answer; _answer({module!r})"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is for this process alone
    )  # fmt: skip
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    def ask(call: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((call, args), questions)
            questions.flush()
        return wait

    def wait() -> Any:
        try:
            return pickle.load(answers)
        except EOFError:
            raise Lost from None

    try:
        yield ask
    finally:
        process.kill()
        process.wait()
        answers.close()
        with contextlib.suppress(BrokenPipeError):
            questions.close()


def _answer(module: str) -> None:
    """In the other process: until nobody asks any more. What is printed there is no answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    importlib.import_module(module)
    with contextlib.suppress(EOFError):
        while True:
            call, args = pickle.load(sys.stdin.buffer)
            pickle.dump(call(*args), answers)
            answers.flush()
