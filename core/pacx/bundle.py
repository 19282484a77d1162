"""The artefact: one directory of weights, graphs and a manifest, opened only if all of it fits.

Nothing in a bundle is executable. Every file is listed in ``manifest.json`` with its size and
checksum, and whatever is missing, damaged, unlisted or of another shape is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from pacx.errors import BundleError
from pacx.manifest import SCHEMA_VERSION, FileEntry, Manifest
from pacx.signature import SIGNATURE

MANIFEST = "manifest.json"
UNLISTED = frozenset({MANIFEST, SIGNATURE})
WEIGHTS = "model.safetensors"
HEADS = "heads.safetensors"
REQUIRED = ("README.md", "config.json", WEIGHTS, HEADS)
PLAIN_SUFFIXES = frozenset({".bin", ".json", ".md", ".onnx", ".plan", ".safetensors", ".xml"})
LARGEST_MANIFEST_BYTES = 4 * 2**20
DEFAULT = "pacx-small"

_SHIPPED = Path(__file__).parent / "bundles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A directory whose every file was checked against its manifest.

    Attributes:
        directory: Where it lies.
        manifest: What it holds and what it may be used for.
        sha256: Of the bytes of ``manifest.json``, which holds the hashes of all else.
    """

    directory: Path
    manifest: Manifest
    sha256: str

    def path(self, name: str) -> Path:
        """Give the path of a file that the manifest lists.

        Raises:
            BundleError: The manifest lists no such file.
        """
        if name not in self.manifest.files:
            raise BundleError(f"{name}: the manifest lists no such file.")
        return self.directory / name


def bundled(name: str = DEFAULT) -> Path:
    """Give the directory of a bundle that comes with the package."""
    return _SHIPPED / name


def resolve(name_or_path: str | Path = DEFAULT) -> Path:
    """Find a bundle: the name of a shipped one, else a directory.

    Raises:
        BundleError: There is neither.
    """
    shipped = bundled(str(name_or_path))
    if Path(name_or_path).name == str(name_or_path) and (shipped / MANIFEST).is_file():
        return shipped
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    raise BundleError(f"{name_or_path}: neither a shipped bundle nor a directory.")


def open_bundle(directory: str | Path) -> Bundle:
    """Open a bundle after checking every file of it.

    Raises:
        BundleError: Names the file that is missing, damaged, unlisted or of the wrong shape.
    """
    root = Path(directory)
    content = _manifest_bytes(root)
    manifest = _parse(content)
    _check_names(root, manifest)
    for name, entry in manifest.files.items():
        _check_file(root / name, name, entry)
    _check_shapes(root, manifest)
    return Bundle(directory=root, manifest=manifest, sha256=hashlib.sha256(content).hexdigest())


def file_table(directory: Path) -> dict[str, FileEntry]:
    """Measure every file below ``directory`` but the manifest itself."""
    names = sorted(_files_below(directory) - UNLISTED)
    return {name: _measure(directory / name) for name in names}


def write_manifest(directory: Path, manifest: Manifest) -> Bundle:
    """Write ``manifest.json`` with fresh checksums and open the result, checks and all.

    Raises:
        BundleError: The directory does not make a valid bundle.
    """
    sealed = manifest.model_copy(update={"files": file_table(directory)})
    text = json.dumps(sealed.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return open_bundle(directory)


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """Offer an empty folder that becomes ``directory`` in one rename if all goes well.

    Whatever raises inside leaves nothing behind.

    Raises:
        BundleError: ``directory`` exists already.
        OSError: It cannot be written.
    """
    if directory.exists() or directory.is_symlink():
        name = directory.absolute().name
        raise BundleError(f"{name} exists already; choose another directory.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield folder
        _make_readable(folder)
        folder.rename(directory)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def copied(bundle: Bundle, directory: Path) -> Iterator[Path]:
    """Offer a copy of a bundle to change; it becomes ``directory`` as in :func:`staging`.

    The signature is left out: it would not fit what is changed.

    Raises:
        BundleError: ``directory`` exists already.
    """
    with staging(directory) as folder:
        shutil.copytree(bundle.directory, folder, dirs_exist_ok=True)
        (folder / SIGNATURE).unlink(missing_ok=True)
        yield folder


def _make_readable(folder: Path) -> None:
    """Let everybody read what was written with a private mask, as a server's user must."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _manifest_bytes(root: Path) -> bytes:
    path = root / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise BundleError(f"{MANIFEST} is missing, so this is no bundle.")
    if path.stat().st_size > LARGEST_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST} is larger than {LARGEST_MANIFEST_BYTES} bytes.")
    return path.read_bytes()


def _parse(content: bytes) -> Manifest:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not valid JSON.") from error
    if not isinstance(fields, dict):
        raise BundleError(f"{MANIFEST} is not a JSON object.")
    if fields.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{MANIFEST} has an unknown schema version; this PaCX reads {SCHEMA_VERSION}."
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{MANIFEST}: {where or 'whole'}: {first['msg']}.") from error


def _files_below(root: Path) -> set[str]:
    names = set()
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            raise BundleError(f"{name} is a link; a bundle holds plain files only.")
        if path.is_file():
            names.add(name)
        elif not path.is_dir():
            raise BundleError(f"{name} is no plain file; a bundle holds nothing else.")
    return names


def _check_names(root: Path, manifest: Manifest) -> None:
    listed = set(manifest.files)
    for name in sorted(set(REQUIRED) - listed):
        raise BundleError(f"{name} is not listed in {MANIFEST}.")
    for name in sorted(listed):
        if Path(name).suffix not in PLAIN_SUFFIXES:
            raise BundleError(f"{name}: files of this kind may not be in a bundle.")
    present = _files_below(root) - UNLISTED
    for name in sorted(listed - present):
        raise BundleError(f"{name} is missing.")
    for name in sorted(present - listed):
        raise BundleError(f"{name} is not listed in {MANIFEST}.")


def _measure(path: Path) -> FileEntry:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(sha256=digest, bytes=path.stat().st_size)


def _check_file(path: Path, name: str, entry: FileEntry) -> None:
    if path.stat().st_size != entry.bytes:
        raise BundleError(f"{name} has another size than {MANIFEST} says.")
    if _measure(path) != entry:
        raise BundleError(f"{name} has another checksum than {MANIFEST} says.")


def _check_shapes(root: Path, manifest: Manifest) -> None:
    encoder = manifest.encoder
    rows, columns = encoder.grid
    if {rows * encoder.patch_size, columns * encoder.patch_size} != {manifest.input.size}:
        raise BundleError(f"{MANIFEST}: grid times patch size differs from the input's size.")
    _check_tensors(root / WEIGHTS, _encoder_shapes(manifest))
    labels = _check_tensors(root / HEADS, _head_shapes(manifest))
    _check_tensors(root / manifest.reference.file, {})
    for head in manifest.heads:
        wanted = json.dumps(head.labels)
        if labels.get(labels_key(head.name)) != wanted:
            raise BundleError(f"{HEADS}: the head {head.name} was trained for other labels.")


def labels_key(head: str) -> str:
    """Name the metadata entry of ``heads.safetensors`` with a head's labels as a JSON list."""
    return f"labels.{head}"


def _encoder_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    encoder = manifest.encoder
    width, patch = encoder.embedding_dimension, encoder.patch_size
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + encoder.grid[0] * encoder.grid[1], width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "norm.weight": (width,),
    }
    for block in range(encoder.depth):
        shapes[f"blocks.{block}.attn.qkv.weight"] = (3 * width, width)
        shapes[f"blocks.{block}.attn.proj.weight"] = (width, width)
    return shapes


def _head_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for head in manifest.heads:
        width, key = manifest.encoder.embedding_dimension, f"heads.{head.name}"
        if head.hidden is not None:
            shapes[f"{key}.hidden.weight"] = (head.hidden, width)
            shapes[f"{key}.hidden.bias"] = (head.hidden,)
        shapes[f"{key}.weight"] = (len(head.labels), head.hidden or width)
        shapes[f"{key}.bias"] = (len(head.labels),)
    return shapes


def _check_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Compare a safetensors header with the manifest; returns the header's metadata."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            found = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
            metadata: dict[str, str] = tensors.metadata() or {}
    except SafetensorError as error:
        raise BundleError(f"{path.name} is not a valid safetensors file.") from error
    for name, shape in shapes.items():
        if name not in found:
            raise BundleError(f"{path.name}: the tensor {name} is missing.")
        if found[name] != shape:
            raise BundleError(f"{path.name}: {name} has another shape than {MANIFEST} says.")
    return metadata
