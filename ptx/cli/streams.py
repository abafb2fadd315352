"""Standard streams that are closed when the command starts (`>&-`, and some services)."""

import os
import sys


def open_closed() -> None:
    """Put something in their place, before a file of the command's gets their number and is written into.

    Reading from stdin and writing to stdout fail all the same, so that nothing is lost without a word: they are opened
    the wrong way round.
    """
    ways = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    for name, flags, mode in ways:
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)  # the lowest that is free
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115, for as long as the process lives
