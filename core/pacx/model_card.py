"""What the model card of a bundle must say; the card itself is written by the export."""

from __future__ import annotations

from collections.abc import Iterator

from pacx.bundle import Bundle
from pacx.manifest import Manifest

CARD = "README.md"
DISCLAIMER = "Research demonstration, not for clinical use."
SIMULATED = "**Part of this model was trained on simulated physiology.**"


def missing_statements(bundle: Bundle) -> tuple[str, ...]:
    """What the card fails to state, in words; empty where it says everything.

    The manifest decides: name and version, licence, disclaimer, simulated physiology, every
    finding, every source with its terms.
    """
    card = bundle.path(CARD).read_text(encoding="utf-8")
    return tuple(what for what, text in _statements(bundle.manifest) if text not in card)


def _statements(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "name and version", f"# {manifest.name} {manifest.version}\n"
    yield "licence", f"license: {manifest.licence.lower()}\n"
    yield "disclaimer", DISCLAIMER
    yield "intended use", manifest.intended_use
    if manifest.simulated_physiology:
        yield "simulated physiology", SIMULATED
    for label in manifest.labels:
        yield f"finding {label}", f"| {label} |"
    for source in manifest.provenance.sources:
        yield f"source {source.name}", source.licence
    for limitation in manifest.provenance.limitations:
        yield "limitation", limitation
