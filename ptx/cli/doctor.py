"""`ptx doctor`: is everything in order here?"""

import os
from typing import Annotated

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.config import CommonConfig
from ptx.errors import PtxError


def doctor(common: Annotated[CommonConfig, ("cache_dir", "device", *SAID)]) -> None:
    """Say what is installed, where it computes, how the cache is, and whether a small transfer comes out right.

    Exit code 1 if something is broken; what is merely missing (an extra) is said with how to get it.
    """
    from ptx.doctor import examined

    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    command = Command(common)
    command.out.message("looking for a few seconds ...")
    rows = [finding.row for finding in examined(command.store, common.device)]
    command.out.rows(rows)
    if broken := [row["what"] for row in rows if row["state"] == "broken"]:
        raise PtxError(f"broken: {', '.join(broken)}", "the lines above say how, and what to do")
