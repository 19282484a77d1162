"""Files of embeddings that know which model made them, and refuse to be mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacx.errors import ExtraMissing, MalformedRequest
from pacx.preprocessing import PreprocessingSpec

if TYPE_CHECKING:
    from pacx.model import Model

METADATA_KEY = b"pacx"


@dataclass(frozen=True, slots=True)
class Origin:
    """What made an embedding: two embeddings compare only where this is equal."""

    name: str
    version: str
    sha256: str
    preprocessing_sha256: str

    @classmethod
    def of(cls, model: Model) -> Origin:
        """The origin of everything that ``model`` embeds."""
        manifest = model.manifest
        return cls(
            manifest.name, manifest.version, model.sha256, preprocessing_sha256(manifest.input)
        )


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTable:
    """Embeddings of several radiographs.

    Attributes:
        embeddings: float32 ``[N, D]``.
        sources: ``N`` names that the caller gave to the rows.
        origin: What made them.
    """

    embeddings: NDArray[np.float32]
    sources: tuple[str, ...]
    origin: Origin


def preprocessing_sha256(spec: PreprocessingSpec) -> str:
    """Hash of everything that decides how a picture becomes model input."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()


def concatenate(tables: Sequence[EmbeddingTable]) -> EmbeddingTable:
    """Join tables of one origin.

    Raises:
        MalformedRequest: There is no table, or two come from different models.
    """
    if len({table.origin for table in tables}) != 1:
        raise MalformedRequest("Only embeddings of one and the same model can be joined.")
    return EmbeddingTable(
        np.concatenate([table.embeddings for table in tables]),
        tuple(source for table in tables for source in table.sources),
        tables[0].origin,
    )


def write(table: EmbeddingTable, path: Path) -> None:
    """Write ``.npy`` (with ``<path>.json`` beside it for rows and origin) or ``.parquet``.

    Raises:
        MalformedRequest: Another file ending.
        ExtraMissing: Parquet needs pyarrow.
    """
    if path.suffix.lower() == ".npy":
        with path.open("wb") as file:
            np.save(file, table.embeddings)
        _sidecar(path).write_text(_describe(table), encoding="utf-8")
    elif path.suffix.lower() == ".parquet":
        _write_parquet(table, path)
    else:
        raise MalformedRequest("Embeddings are written as .npy or .parquet.")


def read(path: Path) -> EmbeddingTable:
    """Read what :func:`write` wrote.

    Raises:
        MalformedRequest: Another file ending, or the origin is missing.
        ExtraMissing: Parquet needs pyarrow.
    """
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    if path.suffix.lower() != ".npy" or not _sidecar(path).exists():
        raise MalformedRequest("Embeddings are read from .parquet, or .npy with its .npy.json.")
    return _table(np.load(path, allow_pickle=False), _sidecar(path).read_text(encoding="utf-8"))


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _describe(table: EmbeddingTable) -> str:
    return json.dumps({"origin": asdict(table.origin), "sources": table.sources}, indent=1)


def _table(embeddings: NDArray[np.float32], description: str) -> EmbeddingTable:
    facts = json.loads(description)
    return EmbeddingTable(embeddings, tuple(facts["sources"]), Origin(**facts["origin"]))


def arrow_stream(
    embeddings: NDArray[np.float32], warnings: Sequence[Sequence[str]], origin: Origin
) -> bytes:
    """Write embeddings as a stream of Arrow's IPC format, with their origin in its metadata.

    Its columns are ``index`` (int32), ``embedding`` (lists of fixed size) and ``warnings``.

    Args:
        embeddings: float32 ``[N, D]``, or ``[N, T, D]`` where there are several of each picture.
        warnings: Codes of the warnings of each of the ``N`` pictures.
        origin: What made them.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """
    arrow, _ = _arrow()
    columns = {
        "index": arrow.array(range(len(embeddings)), type=arrow.int32()),
        "embedding": _lists(embeddings),
        "warnings": arrow.array(warnings, type=arrow.list_(arrow.string())),
    }
    table = arrow.table(columns).replace_schema_metadata(_metadata(origin))
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _lists(embeddings: NDArray[np.float32]) -> Any:  # noqa: ANN401 - pyarrow has no types
    arrow, _ = _arrow()
    column = arrow.array(embeddings.reshape(-1))
    for length in reversed(embeddings.shape[1:]):
        column = arrow.FixedSizeListArray.from_arrays(column, length)
    return column


def _metadata(origin: Origin) -> dict[bytes, bytes]:
    return {METADATA_KEY: json.dumps(asdict(origin)).encode()}


def _write_parquet(table: EmbeddingTable, path: Path) -> None:
    arrow, parquet = _arrow()
    columns = {
        "source": arrow.array(table.sources, type=arrow.string()),
        "embedding": _lists(table.embeddings),
    }
    metadata = _metadata(table.origin)
    parquet.write_table(arrow.table(columns).replace_schema_metadata(metadata), path)


def _read_parquet(path: Path) -> EmbeddingTable:
    _, parquet = _arrow()
    table = parquet.read_table(path)
    metadata = table.schema.metadata or {}
    if METADATA_KEY not in metadata:
        raise MalformedRequest("The Parquet file does not say which model made it.")
    column = table.column("embedding").combine_chunks()
    flat = column.values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return EmbeddingTable(
        flat.reshape(len(column), column.type.list_size),
        tuple(table.column("source").to_pylist()),
        Origin(**json.loads(metadata[METADATA_KEY])),
    )


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissing('Parquet and Arrow need pyarrow: pip install "pacx[cpu]".') from error
    return pyarrow, pyarrow.parquet
