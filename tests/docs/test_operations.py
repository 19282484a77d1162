"""docs/operations.md says what the settings say."""

from __future__ import annotations

import json

from pydantic_core import PydanticUndefined, to_jsonable_python

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
