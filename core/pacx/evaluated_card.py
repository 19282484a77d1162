"""A bundle's model card with what an evaluation found, printed or as a new version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pacx.bundle import Bundle, copied, open_bundle, write_manifest
from pacx.model_card import CARD, with_results, with_section, with_version
from pacx.naming import check_successor
from pacx.report_results import BundleResults, read_results

STEP = "pacx bundle card --report"


def evaluated_card(bundle: Bundle, reports: Sequence[Path]) -> str:
    """The card of a bundle with a section for every report about it.

    Args:
        bundle: Opened, hence checked.
        reports: Folders that ``pacx evaluate`` wrote.

    Raises:
        EvaluationError: A folder holds no report, or it is not about this bundle.
    """
    card = bundle.path(CARD).read_text(encoding="utf-8")
    for found in [read_results(folder, bundle) for folder in reports]:
        card = _with(card, found, bundle.manifest.name)
    return card


def write_evaluated(
    bundle: Bundle, reports: Sequence[Path], directory: Path, version: str
) -> Bundle:
    """Write a new version of a bundle that differs in nothing but its card and provenance.

    The measured version's hash stays in the card, because a bundle cannot hold its own.

    Raises:
        BundleError: ``directory`` exists, or ``version`` is the old one or no version.
        EvaluationError: As for ``evaluated_card``.
    """
    check_successor(bundle, directory, version)
    manifest = bundle.manifest
    card = with_version(evaluated_card(bundle, reports), manifest, version)
    story = manifest.provenance
    told = story.model_copy(update={"steps": (*story.steps, STEP)})
    with copied(bundle, directory) as folder:
        (folder / CARD).write_text(card, encoding="utf-8")
        write_manifest(folder, manifest.model_copy(update={"version": version, "provenance": told}))
    return open_bundle(directory)


def _with(card: str, found: BundleResults, name: str) -> str:
    return with_results(with_section(card, found.heading, found.text), name, found.index_entry)
