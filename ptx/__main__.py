"""`ptx` and `python -m ptx`."""

import atexit
import gc
import os

from ptx.cli import interrupts, streams
from ptx.memory import freed_blocks_go_back


def main() -> None:
    gc.set_threshold(200_000)  # what a command reads is mostly kept: to look for garbage in it took a sixth of its time
    atexit.register(gc.freeze)  # nor at the end, where it is all gone with the process: another half second
    freed_blocks_go_back()
    streams.open_closed()
    interrupts.install()  # before anything that takes long to import
    try:
        from ptx.cli.main import app

        app()
    except BaseException:
        if interrupts.received():  # whatever the interruption broke on its way
            code = interrupts.say()
            atexit._run_exitfuncs()  # worker processes
            os._exit(code)  # taking down torch would need another second
        raise


if __name__ == "__main__":
    main()
