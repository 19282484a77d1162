"""Which of several media types a caller wants (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pacx.errors import NotAcceptable


def preferred(accept: str | None, offers: Sequence[str], *, condition: str = "") -> str:
    """Choose the offer that the ``accept`` header likes best.

    Args:
        accept: The header's value, None where there is none; then every offer is as welcome.
        offers: Media types, our own favourite first.
        condition: What the offers depend on, as an error puts it: ``With grid=film``.

    Raises:
        NotAcceptable: The header likes none of them.
    """
    ranges = [_parse(part) for part in (accept or "").split(",") if part.strip()]
    if not ranges:
        return offers[0]
    weight, place = max((_weight(offer, ranges), -place) for place, offer in enumerate(offers))
    if not weight:
        address = f"{condition} this address" if condition else "This address"
        raise NotAcceptable(f"{address} offers {', '.join(offers)}.")
    return offers[-place]


def _parse(part: str) -> tuple[str, float]:
    name, *parameters = [piece.strip().lower() for piece in part.split(";")]
    for parameter in parameters:
        if parameter.startswith("q="):
            return name, _number(parameter[2:])
    return name, 1.0


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that covers the offer."""
    group = offer.partition("/")[0]
    for name in (offer, f"{group}/*", "*/*"):
        for candidate, weight in ranges:
            if candidate == name:
                return weight
    return 0.0
