"""Hashes of files: those of their content, whatever else changed, and read again only then."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from pacx.errors import CohortError
from pacx_training.cohorts.file_digests import FileDigests


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five files of different content and the same length."""
    paths = [tmp_path / "films" / f"smith^{number}.png" for number in range(5)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
    return paths


@pytest.fixture
def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "cache" / "films.digests")


def expected(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_they_are_those_of_the_content(files: list[Path], digests: FileDigests) -> None:
    assert digests.of(files) == expected(files)
    order = [files[3], files[0], files[3]]
    assert digests.of(order) == expected(order)
    assert digests.of([]) == []


def test_a_file_that_is_replaced_by_one_of_its_size_and_time_is_noticed(
    files: list[Path], digests: FileDigests
) -> None:
    before = digests.of(files)
    facts = files[1].stat()
    files[1].write_bytes(b"!" * 100)
    os.utime(files[1], ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert files[1].stat().st_mtime_ns == facts.st_mtime_ns
    after = digests.of(files)
    assert after == expected(files)
    assert after[1] != before[1]


def test_what_did_not_change_is_believed_and_not_read(
    files: list[Path], digests: FileDigests
) -> None:
    first, *others = digests.of(files)
    digests.path.write_text(digests.path.read_text().replace(first, "0" * 64))
    assert digests.of(files) == ["0" * 64, *others]


def test_half_a_line_is_forgotten(files: list[Path], digests: FileDigests) -> None:
    digests.of(files[:3])
    digests.path.write_bytes(digests.path.read_bytes()[:-7])
    assert digests.of(files) == expected(files)
    assert FileDigests(digests.path).of(files) == expected(files)


def test_no_name_is_written_down(files: list[Path], digests: FileDigests) -> None:
    digests.of(files)
    assert re.fullmatch(r"([0-9a-f]{64} [0-9a-f]{64}\n){5}", digests.path.read_text())


def test_a_file_that_is_missing_is_named(files: list[Path], digests: FileDigests) -> None:
    files[2].unlink()
    with pytest.raises(CohortError, match=re.escape(str(files[2]))):
        digests.of(files)
