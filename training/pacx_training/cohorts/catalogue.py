"""Any cohort that a command is pointed at, recognised by what lies there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacx.errors import CohortError
from pacx.manifest import Source
from pacx_training.cohorts import nih
from pacx_training.cohorts.manifest import Cohort, read_folder, read_manifest
from pacx_training.cohorts.published import Linked, Published, linked, recognised


class Terms(BaseModel):
    """What a data set is; ``<manifest>.json`` beside a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str = "not stated"
    citation: str = "not stated"
    simulated: bool = False
    limitations: tuple[str, ...] = Field((), description="Of what is learnt from it.")


def read_cohort(
    path: Path, *, images: Path | None = None, patients: Path | None = None
) -> tuple[Cohort, Terms]:
    """Read a manifest, a published data set as it was unpacked, or any folder of images.

    Args:
        path: A CSV or Parquet file, or a folder.
        images: MIMIC-CXR-JPG's folder, for MedMod and CXLSeg, whose films lie there; the data
            set's own folder where None.
        patients: Table of ``hadm_id`` and ``subject_id``, for data sets that name no patients.

    Raises:
        CohortError: There is nothing there, or it is malformed.
    """
    if not path.exists():
        raise CohortError(f"There is no manifest or folder {path.name}.")
    elsewhere = linked(path) if path.is_dir() else None
    if patients is not None and elsewhere is None:
        raise CohortError(
            f"{path.name} says itself whose its films are, or nobody does: a table of patients is "
            "for MedMod and CXLSeg."
        )
    if path.is_file():
        return read_manifest(path), _terms_beside(path)
    if (path / "labels.csv").is_file():
        cohort = nih.read_nih(path)
        source = nih.source(cohort, "")
        return cohort, Terms(name=source.name, licence=source.licence, citation=source.citation)
    if elsewhere is not None:
        cohort = elsewhere.read(path, images or path, patients)
        return cohort, _stated(elsewhere)
    known = recognised(path)
    if known is not None:
        return known.read(path), _stated(known)
    return read_folder(path), Terms(name=path.name)


def _stated(known: Published | Linked) -> Terms:
    return Terms(name=known.name, licence=known.licence, citation=known.citation)


def source_of(cohort: Cohort, terms: Terms, use: str) -> Source:
    """The entry of a model's provenance for the films of a cohort."""
    return Source(
        name=terms.name,
        use=use,
        films=len(cohort),
        patients=len(set(cohort.patients.tolist())),
        licence=terms.licence,
        citation=terms.citation,
        simulated=terms.simulated,
    )


def _terms_beside(manifest: Path) -> Terms:
    path = manifest.with_suffix(".json")
    if not path.is_file():
        return Terms(name=manifest.stem)
    try:
        return Terms.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CohortError(f"{path.name} does not describe a data set.") from error
