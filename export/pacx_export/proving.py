"""Proving a bundle once more, on a machine that has engines and precisions its maker lacked."""

from __future__ import annotations

from pathlib import Path

from pacx.bundle import Bundle, copied, open_bundle, write_manifest
from pacx.model_card import CARD, with_section, with_version
from pacx.naming import check_successor
from pacx_export.card import ENGINES, bullets
from pacx_export.graphs import graphs
from pacx_export.pictures import verification_pictures
from pacx_export.verification import verify
from pacx_export.verification_report import FILE, Verification
from pacx_export.weights import bundle_classifier

STEP = "pacx export prove"


def prove(bundle: Bundle, directory: Path, *, version: str, films: Path | None = None) -> Bundle:
    """Write a new version of a bundle that offers what can be proved of it here, too.

    Its weights and graphs stay as they are. What was proved elsewhere and cannot be run here
    stays proved; what is run here counts as it turns out here.

    Args:
        bundle: Opened, hence checked.
        directory: To be made.
        version: Of the new bundle.
        films: A folder of real radiographs to prove it on, besides phantoms.

    Raises:
        BundleError: A gate failed, ``directory`` exists, or ``version`` is the old one or none;
            nothing is written.
        CohortError: There are too few films.
    """
    check_successor(bundle, directory, version)
    manifest = bundle.manifest
    pictures = verification_pictures(films, manifest.input)
    report = verify(bundle, graphs(bundle_classifier(bundle)), pictures)
    if FILE in manifest.files:
        report = Verification.model_validate_json(bundle.path(FILE).read_bytes()).renewed(report)
    told = manifest.provenance.model_copy(update={"steps": (*manifest.provenance.steps, STEP)})
    card = with_version(bundle.path(CARD).read_text(encoding="utf-8"), manifest, version)
    with copied(bundle, directory) as folder:
        (folder / FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(with_section(card, ENGINES, bullets(report.statements)), "utf-8")
        changed = {"version": version, "provenance": told, "refused": report.refused}
        write_manifest(folder, manifest.model_copy(update=changed))
    return open_bundle(directory)
