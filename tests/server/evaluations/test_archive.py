"""What an archive may hold, and that nothing of one that is refused is left; faults.md row 55."""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacx.errors import MalformedArchive, MalformedRequest, TooLarge
from pacx_server.evaluations.archive import ArchiveLimits, unpack
from pacx_server.evaluations.names import choose_manifest
from tests.server.evaluations.archives import HOSTILE, tar_of, zip_of

LIMITS = ArchiveLimits(files=50, file_bytes=1000, total_bytes=5000)
GENEROUS = ArchiveLimits(files=1000, file_bytes=2**30, total_bytes=2**31)
FILES = {"manifest.csv": b"path\nfilms/a.png\n", "films/a.png": b"picture", "films/b.png": b""}

names = st.lists(
    st.text(
        st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1
    ).filter(lambda part: part not in (".", "..") and part.isprintable() and len(part) < 50),
    min_size=1,
    max_size=3,
).map("/".join)
contents = st.dictionaries(names, st.binary(max_size=200), max_size=6)


def pack(kind: str, files: dict[str, bytes]) -> bytes:
    if kind == "zip":
        return zip_of(files)
    tar = tar_of(files)
    return gzip.compress(tar) if kind == "tar.gz" else tar


def written(archive: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    path = folder / "archive"
    path.write_bytes(archive)
    found = unpack(path, folder / "films", limits)
    files = {name: (folder / "films" / name).read_bytes() for name in found}
    everything = {p for p in (folder / "films").rglob("*") if p.is_file()}
    assert everything == {folder / "films" / name for name in found}
    return files


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_what_went_in_comes_out(kind: str, tmp_path: Path) -> None:
    assert written(pack(kind, FILES), tmp_path) == FILES


@given(files=contents, kind=st.sampled_from(["zip", "tar", "tar.gz"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_honest_archive_is_unpacked_or_refused_as_a_whole(
    files: dict[str, bytes], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    prefixes = {name.rsplit("/", depth)[0] for name in files for depth in range(1, 3)}
    clash = any(name in prefixes and "/" in other for name in files for other in files)
    try:
        assert written(pack(kind, files), folder) == files or clash
    except MalformedArchive:
        assert clash or any(len(name.encode()) > 100 for name in files)


def test_a_folder_packed_from_inside_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    source = tmp_path / "source"
    source.mkdir()
    (source / "manifest.csv").write_bytes(b"path\n")
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(source, ".")
    assert written(buffer.getvalue(), tmp_path) == {"manifest.csv": b"path\n"}


@pytest.mark.parametrize(("name", "build", "status"), HOSTILE, ids=[case[0] for case in HOSTILE])
def test_tricks_are_refused_and_nothing_is_written_outside(
    name: str, build: Callable[[], bytes], status: int, tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = build()
    with pytest.raises((MalformedArchive, TooLarge)) as caught:
        written(archive, inside, GENEROUS)
    assert caught.value.status == status
    assert {path.name for path in inside.iterdir()} <= {"archive", "films"}
    assert list(tmp_path.iterdir()) == [inside]
    size = sum(path.stat().st_size for path in (inside / "films").rglob("*") if path.is_file())
    assert size < 2**20


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_bounds_hold_for_files_bytes_and_numbers(kind: str, tmp_path: Path) -> None:
    for number, files in enumerate(
        (
            {"long.png": bytes(1001)},
            {f"{n}.png": bytes(999) for n in range(6)},
            {f"{n}.png": b"" for n in range(51)},
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(TooLarge):
            written(pack(kind, files), folder)


@given(
    noise=st.binary(max_size=300),
    at=st.integers(0, 10_000),
    kind=st.sampled_from(["zip", "tar", "tar.gz"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damage_is_an_error_of_ours(
    noise: bytes, at: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    honest = pack(kind, FILES)
    at %= len(honest)
    damaged = honest[:at] + noise + honest[at + len(noise) :]
    folder = tmp_path_factory.mktemp("damaged")
    with contextlib.suppress(MalformedArchive, TooLarge):
        written(damaged, folder)


def test_an_encrypted_or_odd_zip_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("manifest.csv", b"path\n")
    with pytest.raises(MalformedArchive, match="stored or deflated"):
        written(buffer.getvalue(), tmp_path)


def test_the_manifest_is_found_or_asked_for() -> None:
    assert choose_manifest(["a/manifest.csv", "a/other.csv", "a/x.png"], None) == "a/manifest.csv"
    assert choose_manifest(["labels.parquet", "__MACOSX/._labels.csv"], None) == "labels.parquet"
    assert choose_manifest(["a.csv", "b.csv"], "b.csv") == "b.csv"
    for found, wanted in ((["a.csv", "b.csv"], None), (["x.png"], None), (["a.csv"], "../a.csv")):
        with pytest.raises(MalformedRequest):
            choose_manifest(found, wanted)


def test_permissions_of_an_archive_are_not_kept(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("manifest.csv")
        entry.mode, entry.size = 0o6777, 5
        tar.addfile(entry, io.BytesIO(b"path\n"))
    written(buffer.getvalue(), tmp_path)
    mode = (tmp_path / "films" / "manifest.csv").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)
