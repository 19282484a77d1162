"""Cohorts: films with patients, splits and labels, from any CSV or Parquet manifest."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype

from pacx.errors import CohortError

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
RESERVED = ("path", "patient", "split", "weight")
SPLITS = ("train", "val", "test")
_LINE = re.compile(r"in line (\d+)")
"""Where pandas tells which line has too many cells."""
FIRST_ROW = 2
"""Where a table's first film stands, as spreadsheets and editors count: below the header."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cohort:
    """Films in a fixed order.

    Attributes:
        name: Of the data set.
        paths: One file per film.
        patients: str ``[N]``; films of one patient share it.
        splits: str ``[N]``: ``train``, ``val`` or ``test``.
        label_names: The columns of ``labels``.
        labels: float32 ``[N, C]``; 1 present, 0 absent, NaN unknown, other values measurements.
        weights: float64 ``[N]``, how often a film is drawn in stage 1, relative to 1.
    """

    name: str
    paths: tuple[Path, ...]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    label_names: tuple[str, ...]
    labels: NDArray[np.float32]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.paths)

    def __post_init__(self) -> None:
        """Refuse a cohort whose splits share patients, or films of nobody knows whom."""
        files = np.array([str(path) for path in self.paths], dtype=np.str_)
        for kind, owners in (("patient", self.patients), ("film", files)):
            shared = shared_patient(owners, self.splits)
            if shared is not None:
                films = " and ".join(str(film + 1) for film in shared)
                raise CohortError(
                    f"Cohort {self.name}: two of its splits share a {kind} (films {films})."
                )

    @property
    def names_patients(self) -> bool:
        """Whether patients have names of their own, which mean the same in another cohort."""
        return not np.array_equal(self.patients, unnamed_patients(len(self)))

    def select(self, keep: NDArray[np.bool_]) -> Cohort:
        """The films where ``keep`` ``[N]`` is true."""
        return replace(
            self,
            paths=tuple(path for path, kept in zip(self.paths, keep, strict=True) if kept),
            patients=self.patients[keep],
            splits=self.splits[keep],
            labels=self.labels[keep],
            weights=self.weights[keep],
        )

    def split(self, name: str) -> Cohort:
        """The films of one split."""
        return self.select(self.splits == name)

    def label(self, name: str) -> NDArray[np.float32]:
        """One column of the labels, ``[N]``.

        Raises:
            CohortError: The cohort has no such label.
        """
        if name not in self.label_names:
            raise CohortError(f"Cohort {self.name} has no label {name}.")
        column: NDArray[np.float32] = self.labels[:, self.label_names.index(name)]
        return column

    def weighted(self, factor: float) -> Cohort:
        """The same films, drawn ``factor`` times as often."""
        return replace(self, weights=self.weights * factor)


def unnamed_patients(films: int) -> NDArray[np.str_]:
    """Stand-ins where nobody says whose films they are: each is a patient of its own, ``[N]``."""
    return np.array([f"film-{index}" for index in range(films)], dtype=np.str_)


def shared_patient(patients: NDArray[np.str_], splits: NDArray[np.str_]) -> tuple[int, int] | None:
    """The first two films of one patient in two splits, counted from 0; None where there are none.

    Args:
        patients: str ``[N]``.
        splits: str ``[N]``.
    """
    seen: dict[str, int] = {}
    for film, patient in enumerate(patients.tolist()):
        first = seen.setdefault(patient, film)
        if splits[first] != splits[film]:
            return first, film
    return None


def read_table(path: Path) -> pd.DataFrame:
    """A CSV (all columns as text) or Parquet table; blanks around names of columns do not count.

    Raises:
        CohortError: Missing or unreadable, or its columns are not separated by commas.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise CohortError(f"The table {path.name} is missing.") from error
    # The last two are what a cut or damaged .gz raises.
    except (OSError, ValueError, EOFError, zlib.error) as error:
        line = _LINE.search(str(error))
        place = f": see its line {line[1]}" if line else ""
        raise CohortError(f"The table {path.name} cannot be read{place}.") from error
    table.columns = pd.Index([str(column).strip() for column in table.columns])
    if len(table.columns) == 1 and set(table.columns[0]) & {";", "\t"}:
        raise CohortError(
            f"{path.name}: columns are separated by commas, not by semicolons or tabs."
        )
    return table


def check_columns(table: pd.DataFrame, needed: Sequence[str], name: str) -> None:
    """Refuse a table without the columns that are needed.

    Raises:
        CohortError: Names the table and what it lacks.
    """
    lacking = [column for column in needed if column not in table.columns]
    if lacking:
        raise CohortError(f"{name} lacks the columns {', '.join(lacking)}.")


def numbers(
    table: pd.DataFrame, column: str, name: str, *, infinite: bool = False
) -> NDArray[np.float32]:
    """A column as float32 ``[N]``; empty cells are NaN, as those that say so.

    Args:
        table: As text or with types of its own.
        column: Of the table.
        name: Of the table, for errors.
        infinite: Whether infinity has a meaning there, such as beyond what an assay measures.

    Raises:
        CohortError: Names the table, the column and the first row that is no number, or one that
            float32 cannot hold.
    """
    values = table[column]
    empty = values.isna() | values.astype(str).str.strip().isin(("", "NaN", "nan"))
    # Pandas would take moments for their nanoseconds.
    readable = values.mask(empty) if not is_datetime64_any_dtype(values) else values.astype(str)
    parsed = pd.to_numeric(readable, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(np.isnan(parsed) & ~empty)
    if len(wrong):
        raise CohortError(
            f"{name}, row {wrong[0] + FIRST_ROW}: {column} is not a number; "
            "leave cells empty where it is not known."
        )
    meant = np.isinf(parsed) if infinite else np.zeros(len(parsed), dtype=np.bool_)
    endless = np.flatnonzero((np.abs(parsed) > np.finfo(np.float32).max) & ~meant)
    if len(endless):
        raise CohortError(
            f"{name}, row {endless[0] + FIRST_ROW}: {column} is infinite, or too large a number."
        )
    return parsed.astype(np.float32)


def read_manifest(path: Path) -> Cohort:
    """Read a manifest: ``path``, and optionally ``patient``, ``split`` and ``weight``.

    Paths are relative to the manifest's folder; without patients every film is its own; without
    splits all films are ``train``. All other columns are labels.

    Raises:
        CohortError: Names the file, the row and what is wrong with it.
    """
    table, name = read_table(path), path.name
    check_columns(table, ["path"], name)
    label_names = tuple(column for column in table.columns if column not in RESERVED)
    labels = [numbers(table, column, name) for column in label_names]
    patients, splits = patients_and_splits(table, name)
    return Cohort(
        name=path.stem,
        paths=existing(path.parent, words(table, "path", name), name),
        patients=patients,
        splits=splits,
        label_names=label_names,
        labels=np.stack(labels, axis=1) if labels else np.empty((len(table), 0), np.float32),
        weights=_weights(table, name),
    )


def patients_and_splits(
    table: pd.DataFrame, name: str
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Patient and split of every film of a table, str ``[N]`` each.

    Without the column ``patient`` every film is its own, without ``split`` all are ``train``.

    Raises:
        CohortError: There is no film, a cell is empty, a split has another name, or two splits
            share a patient; names the table and the row.
    """
    if table.empty:
        raise CohortError(f"{name} holds no film.")
    patients = unnamed_patients(len(table))
    splits = np.full(len(table), "train")
    if "patient" in table:
        patients = np.array(words(table, "patient", name), dtype=np.str_)
    if "split" in table:
        splits = np.array(words(table, "split", name), dtype=np.str_)
    # A typo would silently leave films out.
    wrong = np.flatnonzero(~np.isin(splits, SPLITS))
    if len(wrong):
        raise CohortError(f"{name}, row {wrong[0] + FIRST_ROW}: splits are {', '.join(SPLITS)}.")
    refuse_shared_patients(patients, splits, name)
    return patients, splits


def refuse_shared_patients(
    patients: NDArray[np.str_],
    splits: NDArray[np.str_],
    name: str,
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Refuse a table that sends films of one patient to two splits.

    Args:
        patients: str ``[N]``.
        splits: str ``[N]``.
        name: Of the table.
        rows: Where the films stand in it, counted from 0; the first rows where None.

    Raises:
        CohortError: Names the table and two such rows.
    """
    shared = shared_patient(patients, splits)
    if shared is not None:
        films = (film if rows is None else rows[film] for film in shared)
        named = " and ".join(str(row + FIRST_ROW) for row in films)
        raise CohortError(f"{name}, rows {named}: two of its splits share a patient.")


def by_key(table: pd.DataFrame, key: str, columns: list[str], name: str) -> pd.DataFrame:
    """Some columns of a table by a key, each of which stands there once, or says the same again.

    Raises:
        CohortError: A key is empty, or says two things; names the table and the row.
    """
    keys = words(table, key, name)
    found = table[columns].set_axis(pd.Index(keys, name=key))
    again = found.reset_index().drop_duplicates().duplicated(key)
    if again.any():
        row = int(again.index[again][0]) + FIRST_ROW
        raise CohortError(
            f"{name}, row {row}: it says something else of its {key} than a row above."
        )
    return found[~found.index.duplicated()]


def words(table: pd.DataFrame, column: str, name: str) -> list[str]:
    """A column of text without the blanks around it.

    Raises:
        CohortError: A cell is empty; names the table, the column and the row.
    """
    text = table[column].astype(str).str.strip()
    empty = np.flatnonzero(table[column].isna() | (text == ""))
    if len(empty):
        raise CohortError(
            f"{name}, row {empty[0] + FIRST_ROW}: {column} is empty; fill in every cell of the "
            "column, or leave it out where nothing of it is known."
        )
    return list(text)


def _weights(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if "weight" not in table:
        return np.ones(len(table))
    weights = numbers(table, "weight", name).astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise CohortError(f"{name}, row {wrong[0] + FIRST_ROW}: weight is a number from 0 up.")
    return weights


def read_folder(folder: Path) -> Cohort:
    """All images below a folder, unlabelled, each its own patient.

    Raises:
        CohortError: There are none.
    """
    paths = tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES))
    if not paths:
        raise CohortError(f"The folder {folder.name} holds no images.")
    return Cohort(
        name=folder.name,
        paths=paths,
        patients=unnamed_patients(len(paths)),
        splits=np.full(len(paths), "train"),
        label_names=(),
        labels=np.empty((len(paths), 0), np.float32),
        weights=np.ones(len(paths)),
    )


def existing(
    folder: Path, names: Sequence[str], table: str, rows: Iterable[int] | None = None
) -> tuple[Path, ...]:
    """The files of a table, which must all be there.

    Args:
        folder: That ``names`` are relative to.
        names: Of the files.
        table: Its name, for errors.
        rows: The table's rows that they come from, counted from 0; the first ones where None.

    Raises:
        CohortError: Names the table and the first row whose file is missing.
    """
    paths = tuple(folder / name for name in names)
    for row, path in zip(rows if rows is not None else range(len(paths)), paths, strict=True):
        if not _is_file(path):
            raise CohortError(f"{table}, row {row + FIRST_ROW}: the image file is missing.")
    return paths


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have such a name, or nobody may look
        return False
