"""Whether a file says that it shows another part of the body than the chest."""

from __future__ import annotations

import re

from pacx.reading import tags
from pacx.reading.values import Values

# Words of Body Part Examined: defined terms of PS3.16 annex L, and what devices write for them.
_CHEST_WORDS = frozenset(
    {"LUNG", "LUNGS", "LUNGE", "LUNGEN", "PULMON", "PULMONARY", "PULMONES", "POUMON", "POUMONS"}
    | {"HEART", "HERZ", "RIB", "RIBS", "RIPPE", "RIPPEN", "STERNUM", "BRUST", "BRUSTKORB"}
    | {"THORACIC", "TORACE", "TORACICO", "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV"}
)
# Devices glue the view to these: CHESTPA, THORAX2VIEWS.
_CHEST_BEGINNINGS = ("CHEST", "THORAX", "TORAX")
_SPINE = re.compile("SPINE|SPINAL|WIRBEL|VERTEBR|COLUMN|RACHIS")
_NO_PART = frozenset({"UNKNOWN", "OTHER", "NONE", "NA", "N/A", "DEFAULT"})
# Of CID 4031: SNOMED CT and the retired SNOMED-RT code.
_OTHER_REGIONS = frozenset(
    {"66019005", "T-D0300"}  # limb
    | {"53120007", "T-D8000", "40983000", "T-D8200", "85050009", "T-12410"}  # arm
    | {"16953009", "T-15430", "14975008", "T-D8500", "74670003", "T-15460"}  # elbow, forearm, wrist
    | {"85562004", "T-D8700", "7569003", "T-D8800", "76505004", "T-D8810"}  # hand, finger, thumb
    | {"16982005", "T-D2220", "51299004", "T-12310", "79601000", "T-12280"}  # shoulder girdle
    | {"61685007", "T-D9000", "29836001", "T-D2500", "24136001", "T-15710"}  # lower limb, hip
    | {"68367000", "T-D9100", "71341001", "T-12710", "72696002", "T-D9200"}  # thigh, femur, knee
    | {"64234005", "T-12730", "30021000", "T-D9400", "12611008", "T-12740"}  # patella, leg, tibia
    | {"87342007", "T-12750", "70258002", "T-15750", "80144004", "T-12770"}  # fibula, ankle, heel
    | {"56459004", "T-D9700", "29707007", "T-D9800"}  # foot, toe
    | {"69536005", "T-D1100", "89546000", "T-11100", "774007", "T-D1000"}  # head, skull
    | {"91397008", "T-11196", "91609006", "T-11180", "2095001", "T-22000"}  # face, jaw, sinuses
    | {"45048000", "T-D1600"}  # neck
    | {"421060004", "T-D04FF", "122494005", "T-11501", "122495006", "T-11502"}  # spine
    | {"122496007", "T-11503", "1217253001", "1217254007", "1217256009", "1217257000"}
    | {"54735007", "T-11AD0", "64688005", "T-11BF0", "39723000", "T-15680"}  # sacrum, coccyx
    | {"818981001", "113345001", "T-D4000"}  # abdomen
    | {"816092008", "12921003", "T-D6000", "818982008", "416949008", "R-FAB57"}  # pelvis
    | {"76752008", "T-04000"}  # breast
)


def shows_another_part(values: Values) -> bool:
    """Whether Body Part Examined or the Anatomic Region Sequence names another part.

    What is absent, says nothing or, as a code, is unknown, names none.
    """
    part = values.text(tags.BODY_PART_EXAMINED)
    if part is not None and not _may_be_chest(part):
        return True
    regions = [item.text(tags.CODE_VALUE) for item in values.items(tags.ANATOMIC_REGION_SEQUENCE)]
    return bool(regions) and all(region in _OTHER_REGIONS for region in regions)


def _may_be_chest(part: str) -> bool:
    if not part or part in _NO_PART or not part.isascii():
        return True
    if _SPINE.search(part):
        return False
    words = re.split("[^A-Z]+", part)
    return any(word in _CHEST_WORDS or word.startswith(_CHEST_BEGINNINGS) for word in words)
