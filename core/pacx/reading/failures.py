"""The one place where exceptions of other libraries become errors of PaCX.

pydicom, Pillow and the codecs raise whatever comes to hand for a bad file, with messages that may
quote it. Here each of them becomes one error of :mod:`pacx.errors`; the original, whose text may
hold patient data, is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pacx.errors import InputError, PacxError, TooComplex, TooDeep


@contextmanager
def reported_as(error: type[InputError], detail: str) -> Iterator[None]:
    """Turn every foreign exception of the block into ``error(detail)``.

    Errors of PaCX pass unchanged. Running out of stack or memory keeps its own meaning. What a
    codec raises is not documented anywhere, so the last clause is as wide as it can be.

    Raises:
        PacxError: Instead of every exception that was raised in the block.
    """
    try:
        yield
    except PacxError:
        raise
    except RecursionError:
        raise TooDeep("The file nests deeper than it can be read.") from None
    except MemoryError:
        raise TooComplex("Reading the file takes more memory than a radiograph needs.") from None
    except Exception as foreign:
        raise error(f"{detail} ({type(foreign).__name__})") from None
