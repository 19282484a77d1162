"""What a log says of an error: where and of which kind, never what was in hand."""

from __future__ import annotations

import sys

from pacx.errors import CohortError
from pacx_server.logs import where_it_failed


def _opened(name: str) -> str:
    patient = name.upper()
    raise OSError(36, "File name too long", patient)


def _told(name: str, error: type[CohortError] | None = None) -> str:
    try:
        try:
            _opened(name)
        except OSError as cause:
            if error is None:
                raise
            raise error("The table cannot be read.") from cause
    except Exception:
        return where_it_failed(sys.exc_info())  # type: ignore[arg-type]
    raise AssertionError("it did not fail")


def test_frames_and_kinds_are_told_but_no_values() -> None:
    told = _told("smith^john")
    assert told.endswith("OSError")
    assert "in _opened" in told
    assert "SMITH" not in told.upper()


def test_words_of_our_own_errors_are_told_and_causes_come_first() -> None:
    told = _told("smith^john", CohortError)
    assert told.endswith("CohortError: The table cannot be read.")
    assert told.index("OSError") < told.index("CohortError:")
    assert "SMITH" not in told.upper()
