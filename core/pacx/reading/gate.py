"""Whether the header lets a file pass as a frontal chest radiograph."""

from __future__ import annotations

from pacx.errors import ForProcessing, LateralView, NotAChestRadiograph
from pacx.radiograph import ImageWarning
from pacx.reading import tags
from pacx.reading.body_part import shows_another_part
from pacx.reading.limits import ReadingOptions
from pacx.reading.values import Values

_FRONTAL_VIEWS = {"PA": "PA", "AP": "AP", "LLD": "AP", "RLD": "AP"}
_LATERAL_VIEWS = frozenset({"LL", "RL", "LAT", "LATERAL"})
# CID 4010: SNOMED CT and the retired SNOMED-RT code of each view.
_VIEW_CODES = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399173006": "LATERAL",
    "R-10236": "LATERAL",
    "399198007": "LATERAL",
    "R-10232": "LATERAL",
    "399067008": "LATERAL",
}
_SUPINE = frozenset({"HFS", "FFS"})
"""Patient positions on the back (PS3.3 section C.7.3.1.1.2), with the detector beneath."""
_LATERAL = ImageWarning("lateral_view", "This is a lateral view; models expect frontal ones.")
_BURNED_IN = ImageWarning(
    "burned_in_annotation", "The pixels may show the patient's name; do not pass overlays on."
)
_RAW = ImageWarning("for_processing", "The pixel values are raw, not meant for presentation.")
_OTHER_PART = ImageWarning("body_part", "The file says that it does not show a chest.")


def read_gate(
    values: Values, options: ReadingOptions
) -> tuple[str | None, str | None, list[ImageWarning]]:
    """Judge modality, body part, intent, view and annotations; what is absent passes.

    Returns:
        Modality, view, warnings.

    Raises:
        NotAChestRadiograph: Another modality or body part.
        ForProcessing: Raw values, where they are not allowed.
        LateralView: A lateral view, where it is refused.
    """
    modality = values.text(tags.MODALITY)
    if modality is not None and modality not in options.modalities:
        raise NotAChestRadiograph("The modality is not that of a radiograph.")
    view = read_view(values)
    warnings = [
        *_body_part(values, options),
        *_intent(values, options),
        *_view(view, options),
    ]
    if values.text(tags.BURNED_IN_ANNOTATION) == "YES":
        warnings.append(_BURNED_IN)
    return modality, view, warnings


def read_view(values: Values) -> str | None:
    """``PA``, ``AP``, ``LATERAL`` or None: View Position, else its code, else what is implied.

    Rows that run from front to back make a view lateral; of who lies on the back only AP films
    can be taken.
    """
    position = values.text(tags.VIEW_POSITION)
    if position in _FRONTAL_VIEWS:
        return _FRONTAL_VIEWS[position]
    if position in _LATERAL_VIEWS:
        return "LATERAL"
    for item in values.items(tags.VIEW_CODE_SEQUENCE):
        return _VIEW_CODES.get(item.text(tags.CODE_VALUE) or "")
    rows_run = values.text(tags.PATIENT_ORIENTATION)
    if rows_run is not None and rows_run.startswith(("A", "P")):
        return "LATERAL"
    return "AP" if values.text(tags.PATIENT_POSITION) in _SUPINE else None


def _body_part(values: Values, options: ReadingOptions) -> list[ImageWarning]:
    if not shows_another_part(values):
        return []
    if not options.any_body_part:
        raise NotAChestRadiograph("The body part examined is not the chest.")
    return [_OTHER_PART]


def _intent(values: Values, options: ReadingOptions) -> list[ImageWarning]:
    if values.text(tags.PRESENTATION_INTENT_TYPE) != "FOR PROCESSING":
        return []
    if not options.allow_for_processing:
        raise ForProcessing("Send the image whose intent is FOR PRESENTATION.")
    return [_RAW]


def _view(view: str | None, options: ReadingOptions) -> list[ImageWarning]:
    if view != "LATERAL":
        return []
    if options.refuse_lateral:
        raise LateralView("Only frontal views are accepted.")
    return [_LATERAL]
