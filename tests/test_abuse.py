"""scripts/abuse plays every row of the table of abuses but DICOMweb's, and judges the answers."""

from __future__ import annotations

import httpx
import pytest

from tests import abuse

DICOMWEB = 54
ROWS = set(range(1, 56)) - {DICOMWEB}
FLOOD = 48


def test_every_row_is_played_or_proved() -> None:
    probes = (*abuse.PROBES, *abuse.hostile(), *abuse.welcome())
    rows = {probe.row for probe in probes} | {proof[0] for proof in abuse.PROOFS} | {FLOOD}
    assert rows == ROWS


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (httpx.Response(200, json={}), "200"),
        (httpx.Response(400, json={"code": "empty_body"}), "empty_body"),
        (httpx.Response(405), "405"),
    ],
)
def test_an_answer_is_named(answer: httpx.Response, got: str) -> None:
    assert abuse.outcome(answer) == got
