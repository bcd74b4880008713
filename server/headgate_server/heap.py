"""Memory that was freed goes back to the system.

glibc learns from the first large block that is freed to keep such blocks for itself: one body of 8 MiB, and from then
on a process holds hundreds of MiB in pieces that it never needs again, up to the limit of its container.
"""

import contextlib
import ctypes
import os
from typing import Final

# As in glibc's malloc.h. Whatever is set no longer changes by itself.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
LARGE: Final = 256 << 10
SPARE: Final = 1 << 20


def give_back() -> None:
    """Before anything large is made. Other libraries of C have nothing to set here, and a user's own choice stays."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, LARGE)
        set_option(M_TRIM_THRESHOLD, SPARE)
