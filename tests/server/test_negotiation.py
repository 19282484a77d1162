"""Which of several media types a caller gets, and when none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacx.errors import NotAcceptable
from pacx_server.negotiation import preferred

OFFERS = ("application/json", "image/png", "application/x-npy")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, OFFERS[0]),
        ("*/*", OFFERS[0]),
        ("image/*", OFFERS[1]),
        ("application/json;q=0.5, image/png", OFFERS[1]),
        ("application/x-npy;q=0.9, */*;q=0.8", OFFERS[2]),
        ("application/json;q=0, */*", OFFERS[1]),
        ("IMAGE/PNG", OFFERS[1]),
        ("", OFFERS[0]),
        (" ,", OFFERS[0]),
    ],
)
def test_negotiation(accept: str | None, wanted: str) -> None:
    assert preferred(accept, OFFERS) == wanted


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "image/webp, text/*", ";;q=x,,"])
def test_what_is_not_offered(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, image/png"):
        preferred(accept, OFFERS)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_negotiation_survives_anything(accept: str) -> None:
    with suppress(NotAcceptable):
        assert preferred(accept, OFFERS) in OFFERS
