"""A bundle that is added to in place is the old one or the new one, wherever it is named from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacx.bundle import open_bundle, write_manifest
from pacx_export.additions import adding


def add_note(directory: Path) -> None:
    bundle = open_bundle(directory)
    with adding(bundle, None) as folder:
        (folder / "note.md").write_text("added")
        write_manifest(folder, bundle.manifest)


def test_what_a_killed_call_left_is_in_nobodys_way(tiny_copy: Path) -> None:
    for name in (f".{tiny_copy.name}-new", f".{tiny_copy.name}-old"):
        tiny_copy.with_name(name).mkdir()
        (tiny_copy.with_name(name) / "half.json").write_text("{}")
    add_note(tiny_copy)
    assert "note.md" in open_bundle(tiny_copy).manifest.files


def test_a_link_goes_on_leading_to_the_bundle(tiny_copy: Path) -> None:
    link = tiny_copy.with_name("link")
    link.symlink_to(tiny_copy.name)
    add_note(link)
    assert link.is_symlink()
    assert "note.md" in open_bundle(tiny_copy).manifest.files
    assert set(tiny_copy.parent.iterdir()) == {tiny_copy, link}


def test_the_folder_that_one_is_in_is_replaced(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_copy)
    add_note(Path())
    assert "note.md" in open_bundle(tiny_copy).manifest.files
    assert list(tiny_copy.parent.iterdir()) == [tiny_copy]


def test_whatever_raises_leaves_everything_as_it_was(tiny_copy: Path) -> None:
    before = open_bundle(tiny_copy)

    def fail() -> None:
        with adding(before, None) as folder:
            (folder / "note.md").write_text("added")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert open_bundle(tiny_copy).sha256 == before.sha256
    assert list(tiny_copy.parent.iterdir()) == [tiny_copy]
