"""What the model card of a bundle must say, and what may be added to one.

The card itself is written by the export. It is Markdown under YAML front matter, in sections of
the second level.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pacx.bundle import Bundle
from pacx.manifest import Manifest

CARD = "README.md"
DISCLAIMER = "Research demonstration, not for clinical use."
SIMULATED = "**Part of this model was trained on simulated physiology.**"
_FENCE = "---\n"
_INDEX = "model-index: "
_VERSION = "version: "


def missing_statements(bundle: Bundle) -> tuple[str, ...]:
    """What the card fails to state, in words; empty where it says everything.

    The manifest decides: name and version, licence, disclaimer, simulated physiology, every
    finding, every source with its terms, every teacher with its sources.
    """
    card = bundle.path(CARD).read_text(encoding="utf-8")
    return tuple(what for what, text in _statements(bundle.manifest) if text not in card)


def sections(card: str) -> dict[str, str]:
    """The text of every section by its heading, in their order."""
    _, *parts = re.split(r"^## (?=\S)", card, flags=re.MULTILINE)
    pairs = (part.partition("\n") for part in parts)
    return {heading: text.strip() for heading, _, text in pairs}


def with_section(card: str, heading: str, text: str) -> str:
    """Put a section at the end of a card, or in the place of the one with its heading."""
    if heading not in sections(card):
        return f"{card.rstrip()}\n\n## {heading}\n\n{text.strip()}\n"
    start = card.index(f"## {heading}\n")
    stop = card.find("\n## ", start)
    rest = "" if stop < 0 else card[stop:]
    return f"{card[:start]}## {heading}\n\n{text.strip()}\n{rest}"


def with_version(card: str, manifest: Manifest, version: str) -> str:
    """The same card of another version of the model."""
    front, body = _parted(card)
    renamed = [
        _VERSION + json.dumps(version) if line.startswith(_VERSION) else line for line in front
    ]
    old, new = (f"# {manifest.name} {number}\n" for number in (manifest.version, version))
    return _joined(renamed, body.replace(old, new, 1))


def with_results(card: str, name: str, entry: Mapping[str, object]) -> str:
    """Add what was measured to the front matter, where model hubs read it.

    ``model-index`` is written as JSON on one line, which is YAML too. An equal entry is not
    repeated.

    Args:
        card: To be added to.
        name: Of the model.
        entry: One element of ``model-index``'s ``results``.
    """
    front, body = _parted(card)
    old = [line for line in front if line.startswith(_INDEX)]
    known = json.loads(old[0].removeprefix(_INDEX))[0]["results"] if old else []
    results = [*(one for one in known if one != entry), entry]
    index = json.dumps([{"name": name, "results": results}], ensure_ascii=False)
    return _joined([*(line for line in front if line not in old), _INDEX + index], body)


def carrying(card: str, former: str) -> str:
    """A card that was written afresh, with what was added to the former one by others.

    These are the sections that the new card has not, and the results in the front matter.
    """
    for heading, text in sections(former).items():
        if heading not in sections(card):
            card = with_section(card, heading, text)
    index = [line for line in _parted(former)[0] if line.startswith(_INDEX)]
    front, body = _parted(card)
    return _joined([*front, *index], body)


def _parted(card: str) -> tuple[list[str], str]:
    """The lines of the front matter, and what follows it."""
    if not card.startswith(_FENCE):
        return [], card
    _, front, body = card.split(_FENCE, 2)
    return front.splitlines(), body


def _joined(front: list[str], body: str) -> str:
    return "".join([_FENCE, *(f"{line}\n" for line in front), _FENCE, body])


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
    for teacher in manifest.provenance.teachers:
        yield f"teacher {teacher.modality}", teacher.sha256
        for source in teacher.sources:
            yield f"source {source.name} of teacher {teacher.modality}", source.licence
    for limitation in manifest.provenance.limitations:
        yield "limitation", limitation
