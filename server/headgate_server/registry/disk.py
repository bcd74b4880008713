"""Trouble with our own disk, told as such: it must not look like the registry's, and a full disk may empty again."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headgate_server.reasons import LoadError, Reason

FULL: Final = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise trouble(error) from None


def trouble(error: OSError) -> LoadError:
    if error.errno in FULL:
        return LoadError(Reason.STORAGE_FULL, f"the model cannot be written to disk: {error.strerror}")
    return LoadError(Reason.LOAD_FAILED, f"the model cannot be written to disk: {error.strerror}")
