"""A process whose native libraries keep what they have to say to themselves."""

from __future__ import annotations

import os
import sys


def silence_libraries() -> None:
    """Close standard output and error to everything but Python, for good.

    Codecs write there what is wrong with a file, which may repeat what they read from it, and not
    in the log's form.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
