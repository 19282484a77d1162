"""In what two bundles differ: what they state, their files, and how far weights are apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pacx.bundle import HEADS, WEIGHTS, Bundle

_SHOWN = 120
_SHOWN_SUM = 12
Stored = NDArray[np.float16 | np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One thing that two bundles do not share.

    Attributes:
        where: A path in the manifest such as ``heads.0.findings.1.threshold``, a file or a
            tensor.
        left: In the first bundle; empty where it has none.
        right: In the second.
    """

    where: str
    left: str
    right: str


def compare_bundles(left: Bundle, right: Bundle) -> tuple[Disagreement, ...]:
    """List what two bundles state differently, then which files and which tensors differ."""
    return (*_statements(left, right), *_files(left, right), *_tensors(left, right))


def _statements(left: Bundle, right: Bundle) -> Iterator[Disagreement]:
    first, second = (_leaves(bundle) for bundle in (left, right))
    for where in dict.fromkeys((*first, *second)):
        if first.get(where) != second.get(where):
            yield Disagreement(where=where, left=first.get(where, ""), right=second.get(where, ""))


def _leaves(bundle: Bundle) -> dict[str, str]:
    fields = bundle.manifest.model_dump(mode="json", exclude={"files"})
    return dict(_flatten("", fields))


def _flatten(where: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(f"{where}.{key}".lstrip("."), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flatten(f"{where}.{index}", inner)
    else:
        yield where, json.dumps(value, ensure_ascii=False)[:_SHOWN]


def _files(left: Bundle, right: Bundle) -> Iterator[Disagreement]:
    first, second = (bundle.manifest.files for bundle in (left, right))
    for name in sorted(first.keys() | second.keys()):
        entries = first.get(name), second.get(name)
        if entries[0] != entries[1]:
            sums = [f"sha256 {entry.sha256[:_SHOWN_SUM]}" if entry else "" for entry in entries]
            yield Disagreement(where=f"file {name}", left=sums[0], right=sums[1])


def _tensors(left: Bundle, right: Bundle) -> Iterator[Disagreement]:
    for file in (WEIGHTS, HEADS):
        first, second = (load_file(bundle.path(file)) for bundle in (left, right))
        for name in dict.fromkeys((*first, *second)):
            found = _distance(first.get(name), second.get(name))
            if found:
                yield Disagreement(where=f"{file}: {name}", left="", right=found)


def _distance(left: Stored | None, right: Stored | None) -> str:
    if left is None or right is None:
        return "only in one of them"
    if left.shape != right.shape:
        return f"shape {list(left.shape)} and {list(right.shape)}"
    wide = left.astype(np.float64)
    difference = float(np.linalg.norm(wide - right))
    norm = float(np.linalg.norm(wide))
    return "" if difference == 0 else f"relative difference {difference / max(norm, 1e-300):.1e}"
