"""A bundle is opened only if all of it fits, and whatever does not is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pacx.bundle import MANIFEST, Bundle, open_bundle, resolve, staging, write_manifest
from pacx.errors import BundleError
from pacx.manifest import Manifest

Change = Callable[[dict[str, Any]], None]


def change_manifest(folder: Path, change: Change) -> None:
    fields = json.loads((folder / MANIFEST).read_text())
    change(fields)
    (folder / MANIFEST).write_text(json.dumps(fields))


def test_opened_bundle_names_the_hash_of_its_manifest(tiny_bundle: Bundle) -> None:
    content = (tiny_bundle.directory / MANIFEST).read_bytes()
    assert tiny_bundle.sha256 == hashlib.sha256(content).hexdigest()
    assert open_bundle(tiny_bundle.directory).manifest == tiny_bundle.manifest


def test_holds_no_executable_format(tiny_bundle: Bundle) -> None:
    suffixes = {Path(name).suffix for name in tiny_bundle.manifest.files}
    assert suffixes == {".json", ".md", ".onnx", ".safetensors"}


@pytest.mark.parametrize(
    "name", ["README.md", "model.safetensors", "predict.onnx", "reference/vectors.safetensors"]
)
def test_missing_file_is_refused_by_name(tiny_copy: Path, name: str) -> None:
    (tiny_copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        open_bundle(tiny_copy)


@pytest.mark.parametrize("name", ["config.json", "heads.safetensors", "explain.onnx"])
def test_flipped_bit_is_refused_by_name(tiny_copy: Path, name: str) -> None:
    content = bytearray((tiny_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny_copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} has another checksum"):
        open_bundle(tiny_copy)


def test_unlisted_file_is_refused(tiny_copy: Path) -> None:
    (tiny_copy / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"extra\.json is not listed"):
        open_bundle(tiny_copy)


def test_what_is_no_file_is_refused(tiny_copy: Path) -> None:
    os.mkfifo(tiny_copy / "pipe.json")
    with pytest.raises(BundleError, match=r"pipe\.json is no plain file"):
        open_bundle(tiny_copy)


def test_link_is_refused(tiny_copy: Path) -> None:
    (tiny_copy / "README.md").unlink()
    (tiny_copy / "README.md").symlink_to(tiny_copy / "config.json")
    with pytest.raises(BundleError, match="link"):
        open_bundle(tiny_copy)


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/passwd.json", "a/../b.json", ".hidden.md"]
)
def test_name_that_leaves_the_folder_is_refused(tiny_copy: Path, name: str) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["files"][name] = {"sha256": "0" * 64, "bytes": 0}

    change_manifest(tiny_copy, change)
    with pytest.raises(BundleError, match=r"manifest\.json: files"):
        open_bundle(tiny_copy)


def test_pickle_is_refused_even_if_listed(tiny_copy: Path) -> None:
    (tiny_copy / "weights.pt").write_bytes(b"")

    def change(fields: dict[str, Any]) -> None:
        empty = hashlib.sha256(b"").hexdigest()
        fields["files"]["weights.pt"] = {"sha256": empty, "bytes": 0}

    change_manifest(tiny_copy, change)
    with pytest.raises(BundleError, match=r"weights\.pt: files of this kind"):
        open_bundle(tiny_copy)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_unknown_schema_version_is_refused(tiny_copy: Path, version: object) -> None:
    change_manifest(tiny_copy, lambda fields: fields.update(schema_version=version))
    with pytest.raises(BundleError, match="schema version"):
        open_bundle(tiny_copy)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"schema_version": 1}'])
def test_manifest_that_is_none_is_refused(tiny_copy: Path, content: str) -> None:
    (tiny_copy / MANIFEST).write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(tiny_copy)


def test_another_shape_than_the_manifest_says_is_refused(tiny_copy: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["encoder"]["embedding_dimension"] = 64

    change_manifest(tiny_copy, change)
    with pytest.raises(BundleError, match=r"model\.safetensors: cls_token has another shape"):
        open_bundle(tiny_copy)


def test_simulated_finding_needs_a_bundle_that_says_so(tiny_bundle: Bundle) -> None:
    fields = tiny_bundle.manifest.model_dump(mode="json")
    fields["heads"][0]["findings"][0]["simulated"] = True
    with pytest.raises(ValueError, match="simulated_physiology"):
        Manifest.model_validate(fields)


def test_neither_a_shipped_name_nor_a_folder() -> None:
    with pytest.raises(BundleError, match="neither a shipped bundle nor a directory"):
        resolve("no-such-bundle")


def test_staging_leaves_nothing_behind_when_something_fails(tmp_path: Path) -> None:
    def write() -> None:
        with staging(tmp_path / "made") as folder:
            (folder / "half.json").write_text("{}")
            raise BundleError("a gate failed")

    with pytest.raises(BundleError, match="a gate failed"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_staging_replaces_nothing(tiny_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for taken in (tiny_copy, tmp_path / "link"):
        with pytest.raises(BundleError, match="exists already"), staging(taken):
            pass
    open_bundle(tiny_copy)
    assert {path.name for path in tmp_path.iterdir()} == {tiny_copy.name, "link"}


def test_write_manifest_seals_what_is_there(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    (tiny_copy / "note.md").write_text("added")
    sealed = write_manifest(tiny_copy, tiny_bundle.manifest)
    assert sealed.manifest.files["note.md"].bytes == 5
    assert sealed.sha256 != tiny_bundle.sha256
