"""How measured numbers are written in tables for people."""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """Three decimals, or as many digits as a large or tiny number needs."""
    if value != 0 and abs(value) < 5e-4:
        return f"{value:.1e}".replace("-", MINUS)
    return (f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}").replace("-", MINUS)
