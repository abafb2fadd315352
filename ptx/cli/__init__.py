"""The command line: parse, call the session, show. Heavy imports stay inside the commands, so that --help is quick.

Commands, a file a noun: transfer (tune to eval), results (table, run, recipe), prompts, models, suites, cache, data.
Around them: main (the whole), options (what is given), command, show, output and progress (what is said), interrupts.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":  # looked up when used: interrupts come first
        from ptx.cli.main import app

        return app
    raise AttributeError(f"module 'ptx.cli' has no attribute {name!r}")
