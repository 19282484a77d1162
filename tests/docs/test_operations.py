"""docs/operations.md says what the settings and the engines say."""

from __future__ import annotations

import json

from pydantic_core import PydanticUndefined, to_jsonable_python

from pacx.engines import ENGINES, VARIANTS
from pacx_server.settings import Settings
from tests.docs.tables import read_table


def _expected() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        varies = field.default is PydanticUndefined
        default = "varies" if varies else json.dumps(to_jsonable_python(field.default))
        rows.append((f"`PACX_{name.upper()}`", f"`{default}`", field.description or ""))
    return rows


def test_every_setting_is_documented_with_its_default() -> None:
    expected = _expected()
    table = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    assert read_table("docs/operations.md", "setting") == expected, f"it should be:\n{table}"


def test_every_engine_is_documented_with_its_devices_and_precisions() -> None:
    precisions: dict[tuple[str, ...], list[str]] = {}
    for variant in VARIANTS:
        place = (f"`{variant.engine}`", f"`{variant.device}`")
        precisions.setdefault(place, []).append(f"`{variant.precision}`")
    *local, remote = read_table("docs/operations.md", "engine")
    assert local == [(*place, ", ".join(names)) for place, names in precisions.items()]
    assert remote[0] == "`triton`"
    assert {row[0] for row in (*local, remote)} == {f"`{name}`" for name in ENGINES}
