"""JSON -> frozen dataclasses, by their annotations.

Answers may gain fields with every version of the server, so unknown fields are ignored and
fields with a default may be missing. A field of the wrong type is never guessed at.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pacx_client._errors import UnexpectedAnswer

T = TypeVar("T")
Annotation: TypeAlias = Any  # what ``get_type_hints`` gives: a class or a generic alias


def decode(kind: type[T], value: object, where: str = "answer") -> T:
    """Read a JSON value as ``kind``.

    Args:
        kind: A dataclass whose annotations use only ``bool``, ``int``, ``float``, ``str``,
            ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``, ``Mapping[str, X]``, ``object``
            and such dataclasses.
        value: What ``json.loads`` gave.
        where: Name of the value, for the error.

    Raises:
        UnexpectedAnswer: A required field is missing or a value has another type.
    """
    return cast(T, _decode(kind, value, where))


def _decode(kind: Annotation, value: object, where: str) -> object:
    if kind is object:
        return value
    if is_dataclass(kind):
        return _decode_dataclass(cast(type, kind), value, where)
    origin: object = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_optional(kind, value, where)
    if origin is tuple:
        return _decode_tuple(get_args(kind), value, where)
    if origin is not None:
        return _decode_mapping(get_args(kind)[1], value, where)
    return _decode_scalar(kind, value, where)


def _decode_dataclass(kind: type, value: object, where: str) -> object:
    mapping = _mapping(value, where)
    hints = get_type_hints(kind)
    known: dict[str, object] = {}
    for field in fields(kind):
        if field.name in mapping:
            place = f"{where}.{field.name}"
            known[field.name] = _decode(hints[field.name], mapping[field.name], place)
        elif field.default is MISSING:
            raise UnexpectedAnswer(f"{where} has no field '{field.name}'")
    return kind(**known)


def _decode_optional(kind: Annotation, value: object, where: str) -> object:
    (inner,) = (option for option in get_args(kind) if option is not type(None))
    return None if value is None else _decode(inner, value, where)


def _decode_tuple(kinds: tuple[Annotation, ...], value: object, where: str) -> object:
    if not isinstance(value, list):
        raise UnexpectedAnswer(f"{where} is no list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise UnexpectedAnswer(f"{where} has {len(value)} elements, not {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, item, f"{where}[{index}]") for index, (kind, item) in pairs)


def _decode_mapping(kind: Annotation, value: object, where: str) -> object:
    items = _mapping(value, where).items()
    return {str(name): _decode(kind, item, f"{where}.{name}") for name, item in items}


def _decode_scalar(kind: type, value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise UnexpectedAnswer(f"{where} is no {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UnexpectedAnswer(f"{where} is not finite")
    return value


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UnexpectedAnswer(f"{where} is no object")
    return value
