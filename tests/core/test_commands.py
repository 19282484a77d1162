"""`pacx predict`, `embed` and `explain` on files and folders: one clear line for each mistake."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pacx.archive import pack
from pacx.bundle import Bundle
from pacx.cli import app
from pacx.embeddings import read
from pacx.engines import ENGINES
from pacx.engines.variants import DEVICES
from pacx.errors import EngineUnavailable
from tests.server.tiny_bundle import make_bundle, value_head, with_second_head


def pacx(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "pacx", *map(str, arguments)],
        capture_output=True,
        env=os.environ | {"COLUMNS": "300"},
        text=True,
    )


def refused(done: subprocess.CompletedProcess[str], words: str) -> bool:
    """Whether it ended with one line that says why, and no traceback."""
    return done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def films(tmp_path: Path, phantom_dicom: bytes) -> Path:
    """A folder with a film, a file that is none, and names that a terminal could misread."""
    folder = tmp_path / "films [bold]"
    folder.mkdir()
    (folder / "film.dcm").write_bytes(phantom_dicom)
    (folder / "no [red]film.txt").write_text("hello")
    return folder


@pytest.mark.parametrize("output", ["missing/out.npy", "out.csv", "folder.npy"])
def test_an_output_that_cannot_be_written_is_refused(
    output: str, films: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    (tmp_path / "folder.npy").mkdir()
    command = ("embed", films, "-o", tmp_path / output, "--bundle", tiny_bundle.directory)
    assert refused(pacx(*command), "malformed_request")
    explained = ("explain", films / "film.dcm", "-o", tmp_path / "missing" / "map.png")
    assert refused(pacx(*explained), "no such folder")


def test_what_the_file_system_refuses_is_one_line(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    packed = tmp_path / "tiny.tar"
    pack(tiny_bundle, packed)
    unpacking = ("bundle", "unpack", packed, "-o")
    folder = pacx("bundle", "pack", tiny_bundle.directory, "-o", tmp_path / "taken")
    assert refused(folder, f"system_error: {tmp_path / 'taken'}: Is a directory")
    assert refused(
        pacx(*unpacking, tmp_path / "file" / "made"),
        f"system_error: {tmp_path / 'file'}: File exists",
    )
    with limited_files(10_000):
        full = pacx(*unpacking, tmp_path / "made")
    assert refused(full, "File too large")
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "file", "tiny.tar"}


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No process that is begun meanwhile writes a larger file, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_without_files_is_an_error(tmp_path: Path, tiny_bundle: Bundle) -> None:
    assert refused(pacx("predict", tmp_path, "--bundle", tiny_bundle.directory), "no file")


def test_a_bad_file_is_named_as_it_is_and_does_not_stop_the_others(
    films: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    done = pacx("predict", films, "--json", "--bundle", tiny_bundle.directory)
    assert done.returncode == 1
    assert f"{films / 'no [red]film.txt'}: not_an_image" in done.stderr
    assert [Path(json.loads(line)["file"]).name for line in done.stdout.splitlines()] == [
        "film.dcm"
    ]
    table = pacx("predict", films / "film.dcm", "--bundle", tiny_bundle.directory)
    assert "films [bold]" in table.stdout


def test_estimated_values_are_told_with_their_interval(films: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny")
    with_second_head(bundle, lambda spec: value_head(spec.label, "physiology"))
    command = ("predict", films / "film.dcm", "--bundle", tmp_path / "tiny")
    (value,) = json.loads(pacx(*command, "--json").stdout)["values"]
    assert value["low"] < value["value"] < value["high"]
    shown = pacx(*command).stdout
    assert all(word in shown for word in (value["label"], "years", f"{value['value']:.3g}"))


def test_embeddings_of_a_folder_say_what_made_them(
    films: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    done = pacx("embed", films, "-o", tmp_path / "out.NPY", "--bundle", tiny_bundle.directory)
    assert "1 of 2 radiographs" in done.stderr
    table = read(tmp_path / "out.NPY")
    assert table.origin.sha256 == tiny_bundle.sha256
    assert table.embeddings.shape == (1, tiny_bundle.manifest.encoder.embedding_dimension)
    assert np.isfinite(table.embeddings).all()


@pytest.mark.parametrize("command", ["predict", "embed", "explain", "serve", "bundle verify"])
def test_every_command_that_runs_a_model_names_all_engines_and_devices(command: str) -> None:
    arguments = [*command.split(), "--help"]
    told = " ".join(CliRunner().invoke(app, arguments, env={"COLUMNS": "300"}).output.split())
    assert f"{', '.join(ENGINES[:-1])} or {ENGINES[-1]}" in told
    assert f"{', '.join(DEVICES)}, or Triton's address" in told


@pytest.mark.parametrize("command", ["predict", "embed", "explain"])
def test_a_device_that_is_not_there_is_refused(films: Path, tmp_path: Path, command: str) -> None:
    bundle = make_bundle(tmp_path / "tiny").directory
    arguments = [command, films / "film.dcm", "--bundle", bundle, "--device", "cuda:99"]
    if command != "predict":
        arguments += ["-o", films / ("out.npy" if command == "embed" else "out.png")]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(done.exception, EngineUnavailable)
    assert "no device cuda:99" in done.exception.detail


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named_on_one_line(
    place: str, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    output = ("-o", tmp_path / place, "--cache", tmp_path / place)
    done = pacx("train", "mae", "--recipe", "smoke", "--data", films.parent, *output)
    assert refused(done, f"system_error: {tmp_path / 'file'}")
