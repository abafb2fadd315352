"""What a process does with memory that it no longer needs."""

import contextlib
import ctypes
import sys

ARENAS, LARGE = -8, -3  # of malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD
BLOCK = 8 * 2**20  # bytes


def freed_memory_goes_back() -> None:
    """Give blocks that are freed back to the system at once, if they are large.

    glibc keeps them for whoever asks next, those of up to 32 MiB, and for each thread apart: a tuning of Gemma 3 270M
    then peaks 65 MB higher, at the same speed. Nothing is done where there is another library.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # musl has no mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(ARENAS, 1)
            libc.mallopt(LARGE, BLOCK)
