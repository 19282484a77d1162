"""A bundle as one file, and archives that try to leave their folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pacx.archive import pack, unpack
from pacx.bundle import Bundle, open_bundle
from pacx.errors import BundleError


def test_there_and_back(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pack(tiny_bundle, tmp_path / "bundle.tar")
    unpacked = unpack(tmp_path / "bundle.tar", tmp_path / "back")
    assert unpacked.sha256 == tiny_bundle.sha256


def test_an_archive_may_be_read_by_others_and_needs_a_folder(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    pack(tiny_bundle, tmp_path / "bundle.tar")
    assert (tmp_path / "bundle.tar").stat().st_mode & 0o777 == 0o644
    with pytest.raises(BundleError, match="no folder"):
        pack(tiny_bundle, tmp_path / "missing" / "bundle.tar")


def test_equal_bundles_give_equal_bytes(
    tiny_bundle: Bundle, tiny_copy: Path, tmp_path: Path
) -> None:
    pack(tiny_bundle, tmp_path / "one.tar")
    (tiny_copy / "README.md").touch(mode=0o600)
    pack(open_bundle(tiny_copy), tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "tiny", "two.tar"]


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../escaped.md"),
        entry("/tmp/escaped.md"),
        entry("a/../../escaped.md"),
        entry(".hidden.md"),
        entry("link.md", tarfile.SYMTYPE, "/etc/passwd"),
        entry("hard.md", tarfile.LNKTYPE, "manifest.json"),
        entry("pipe.md", tarfile.FIFOTYPE),
        entry("device.md", tarfile.CHRTYPE),
        entry("README.md"),
        entry("README.md/inner.md"),
        entry("reference"),
        entry("a/" * 1500 + "deep.md"),
        entry("a" * 300 + ".md"),
    ],
    ids=lambda info: info.name[:40],
)
def test_tricks_leave_nothing_behind(
    tiny_bundle: Bundle, tmp_path: Path, hostile: tarfile.TarInfo
) -> None:
    archive = tmp_path / "bundle.tar"
    pack(tiny_bundle, archive)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(hostile, io.BytesIO(b"evil"))
    with pytest.raises(BundleError, match="archive"):
        unpack(archive, tmp_path / "inside" / "back")
    assert list((tmp_path / "inside").iterdir()) == []
    assert not list(tmp_path.rglob("escaped.md"))


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"no tar" * 200]
)
def test_what_is_no_tar_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    archive = tmp_path / "bundle.tar"
    pack(tiny_bundle, archive)
    archive.write_bytes(spoil(archive.read_bytes()))
    with pytest.raises(BundleError):
        unpack(archive, tmp_path / "back")
    assert not (tmp_path / "back").exists()
