"""Who may pass as a chest radiograph, by the header."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from pacx.errors import ForProcessing, LateralView, NotAChestRadiograph
from pacx.reading import ReadingOptions
from tests.core.reading.films import Elements, codes, film


def test_absent_tags_pass_without_a_word() -> None:
    absent = ("Modality", "BodyPartExamined", "ViewPosition", "PresentationIntentType")
    radiograph = film(dict.fromkeys(absent))
    assert (radiograph.modality, radiograph.view) == (None, None)
    assert codes(radiograph) == set()


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "DR"])
def test_every_modality_of_radiography_passes(modality: str) -> None:
    assert film({"Modality": modality}).modality == modality


def test_another_modality_passes_where_it_is_allowed() -> None:
    options = ReadingOptions(modalities=frozenset({"OT"}))
    assert film({"Modality": "OT"}, options=options).modality == "OT"
    with pytest.raises(NotAChestRadiograph):
        film({"Modality": "DX"}, options=options)


CHESTS = [
    "CHEST",
    "THORAX",
    "PORT CHEST",
    "RIBS",
    "CHEST_PA",
    "CHESTPA",
    "CHESTABDOMEN",
    "TORAX AP",
]


@pytest.mark.parametrize("part", [*CHESTS, "THORACIC CAVITY", "UNKNOWN", ""])
def test_words_for_the_chest_and_for_nothing_pass(part: str) -> None:
    assert codes(film({"BodyPartExamined": part})) == set()


SPINES = ["THORACIC SPINE", "THORACICSPINE", "TSPINE", "BRUSTWIRBEL", "CHEST SPINE"]


@pytest.mark.parametrize("part", [*SPINES, "THORACOLUMBAR", "CRIBRIFORM", "DISTRIBUTED", "HEARTH"])
def test_words_that_only_sound_like_the_chest_do_not_pass(part: str) -> None:
    with pytest.raises(NotAChestRadiograph):
        film({"BodyPartExamined": part})


def region(code: str) -> Dataset:
    """An item of the Anatomic Region Sequence."""
    item = Dataset()
    item.CodeValue = code
    return item


@pytest.mark.parametrize("code", ["51185008", "T-D3000", "43799004", "T-D3300", "816094009", "0"])
def test_coded_chests_and_unknown_codes_pass(code: str) -> None:
    coded = {"BodyPartExamined": None, "AnatomicRegionSequence": [region(code)]}
    assert codes(film(coded)) == set()


@pytest.mark.parametrize("code", ["85562004", "T-D8700", "122495006", "113345001"])
def test_coded_other_parts_do_not_pass(code: str) -> None:
    coded = {"BodyPartExamined": None, "AnatomicRegionSequence": [region(code)]}
    with pytest.raises(NotAChestRadiograph):
        film(coded)
    assert codes(film(coded, options=ReadingOptions(any_body_part=True))) == {"body_part"}


def test_another_part_passes_with_a_warning_where_it_is_allowed() -> None:
    radiograph = film({"BodyPartExamined": "HAND"}, options=ReadingOptions(any_body_part=True))
    assert codes(radiograph) == {"body_part"}


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "AP"}, "AP"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"ViewPosition": None, "PatientOrientation": ["L", "F"]}, None),
        ({"ViewPosition": None, "PatientOrientation": ["", "F"]}, None),
        ({"ViewPosition": ""}, None),
        ({"ViewPosition": "", "PatientPosition": "HFS"}, "AP"),
        ({"ViewPosition": "", "PatientPosition": "HFP"}, None),
        ({"ViewPosition": "PA", "PatientPosition": "HFS"}, "PA"),
    ],
)
def test_the_view_and_its_warning(elements: Elements, view: str | None) -> None:
    radiograph = film(elements)
    assert radiograph.view == view
    assert ("lateral_view" in codes(radiograph)) == (view == "LATERAL")


@pytest.mark.parametrize(("code", "view"), [("399348003", "AP"), ("R-10214", "PA")])
def test_a_coded_view(code: str, view: str) -> None:
    item = Dataset()
    item.CodeValue = code
    assert film({"ViewPosition": None, "ViewCodeSequence": [item]}).view == view


def test_lateral_views_are_refused_where_they_are_not_wanted() -> None:
    with pytest.raises(LateralView):
        film({"ViewPosition": "LL"}, options=ReadingOptions(refuse_lateral=True))


def test_raw_values_pass_with_a_warning_where_they_are_allowed() -> None:
    raw = {"PresentationIntentType": "FOR PROCESSING"}
    with pytest.raises(ForProcessing):
        film(raw)
    allowed = ReadingOptions(allow_for_processing=True)
    radiograph = film(raw, options=allowed)
    assert codes(radiograph) == {"for_processing"}


def test_burned_in_annotations_are_warned_about() -> None:
    assert codes(film({"BurnedInAnnotation": "YES"})) == {"burned_in_annotation"}
    assert codes(film({"BurnedInAnnotation": "NO"})) == set()
