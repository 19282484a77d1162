"""How a foreign graph wants its films: read from the graph, and where it does not say, told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacx.errors import SubjectError
from pacx.preprocessing import PreprocessingSpec

Layout = Literal["NCHW", "NHWC", "NHW"]
PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]

SUFFIX = ".input.json"
SMALLEST, LARGEST = 16, 2048
_DTYPES: dict[str, np.dtype[np.generic]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
_AXES: dict[Layout, tuple[int | None, int, int]] = {
    "NCHW": (1, 2, 3),
    "NHWC": (3, 1, 2),
    "NHW": (None, 1, 2),
}
"""Axes of channels, rows and columns."""


class ToldInput(BaseModel):
    """``NAME.input.json`` beside ``NAME.onnx``: what the graph itself does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None = Field(None, ge=SMALLEST, le=LARGEST, description="Side of the input.")
    layout: Layout | None = None
    channels: Literal[1, 3] | None = None
    white: float | None = Field(None, gt=0, description="A white pixel; black is 0.")
    mean: float | PerChannel | None = Field(None, description="Taken from such a pixel.")
    std: float | PerChannel | None = Field(None, description="What the rest is divided by.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """The image input of a graph.

    Attributes:
        spec: Size and normalisation.
        layout: Order of the axes; N films, C channels, H rows, W columns.
        channels: 1 or 3.
        dtype: float32, float16 or uint8.
        batch: Films of every call, None where their number is free.
    """

    spec: PreprocessingSpec
    layout: Layout
    channels: int
    dtype: np.dtype[np.generic]
    batch: int | None

    def __str__(self) -> str:
        sizes = {"N": self.batch or "N", "C": self.channels, "H": self.spec.size}
        sizes["W"] = self.spec.size
        return f"{self.dtype} [{', '.join(str(sizes[axis]) for axis in self.layout)}]"

    def arranged(self, pixels: NDArray[np.float32]) -> NDArray[np.generic]:
        """What the graph gets for normalised pixels float32 ``[N, 3, S, S]``."""
        values = pixels[:, : self.channels]
        if self.layout == "NHWC":
            values = np.moveaxis(values, 1, 3)
        elif self.layout == "NHW":
            values = values[:, 0]
        if self.dtype == np.uint8:
            values = np.rint(values).clip(0, 255)
        return np.ascontiguousarray(values, dtype=self.dtype)


def read_told(graph: Path) -> ToldInput:
    """What lies beside a graph; nothing is told where there is no such file.

    Raises:
        SubjectError: It cannot be read, or a field of it is refused.
    """
    path = graph.with_suffix(SUFFIX)
    if not path.is_file():
        return ToldInput()
    try:
        return ToldInput.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "whole"
        raise SubjectError(
            f"{path.name}: {field}: {first['msg']}. Fields are {', '.join(ToldInput.model_fields)}."
        ) from error


def image_input(dtype: str, shape: Sequence[object], told: ToldInput) -> ImageInput:
    """Join what a graph says of its only input with what is told.

    Args:
        dtype: As ONNX Runtime names it, ``tensor(float)``.
        shape: Of the input; a number where the axis has a fixed length.
        told: What lies beside the graph.

    Raises:
        SubjectError: They contradict each other, or both leave something open.
    """
    if dtype not in _DTYPES:
        raise SubjectError(
            f"The graph's input is a {dtype}; films can be given as {', '.join(_DTYPES)}."
        )
    lengths = [length if isinstance(length, int) and length > 0 else None for length in shape]
    layout = _layout(lengths, told)
    channel_axis, *sides = _AXES[layout]
    channels = _channels(None if channel_axis is None else lengths[channel_axis], layout, told)
    size = _size([lengths[axis] for axis in sides], told)
    return ImageInput(
        spec=_spec(size, channels, told, integers=dtype == "tensor(uint8)"),
        layout=layout,
        channels=channels,
        dtype=_DTYPES[dtype],
        batch=lengths[0],
    )


def _layout(lengths: Sequence[int | None], told: ToldInput) -> Layout:
    fitting: list[Layout] = [layout for layout in _AXES if _fits(layout, lengths)]
    if told.layout is not None:
        if told.layout in fitting:
            return told.layout
        raise SubjectError(
            f"layout: {told.layout} does not fit the graph's input {_text(lengths)}."
        )
    if len(lengths) == 3:
        return "NHW"
    fixed = [
        layout for layout in fitting if (axis := _AXES[layout][0]) and lengths[axis] is not None
    ]
    if len(fixed) == 1:
        return fixed[0]
    if not fitting:
        raise SubjectError(
            f"The graph's input {_text(lengths)} is no picture: it needs the axes [N, C, H, W], "
            "[N, H, W, C] or [N, H, W], C of 1 or 3."
        )
    raise SubjectError(
        f"The graph's input {_text(lengths)} does not say which axis is the channels': write "
        f'"layout": "NCHW" or "NHWC" into NAME{SUFFIX} beside it.'
    )


def _fits(layout: Layout, lengths: Sequence[int | None]) -> bool:
    channel_axis, *_ = _AXES[layout]
    if len(lengths) != len(layout):
        return False
    return channel_axis is None or lengths[channel_axis] in (None, 1, 3)


def _channels(length: int | None, layout: Layout, told: ToldInput) -> int:
    known = 1 if layout == "NHW" else length
    if known is not None and told.channels not in (None, known):
        raise SubjectError(f"channels: the graph has {known}, not {told.channels}.")
    channels = known or told.channels
    if channels is None:
        raise SubjectError(
            f'The graph does not say how many channels it has: write "channels": 1 or 3 into '
            f"NAME{SUFFIX} beside it."
        )
    return channels


def _size(sides: Sequence[int | None], told: ToldInput) -> int:
    fixed = {side for side in sides if side is not None}
    if len(fixed) > 1:
        raise SubjectError("The graph's image input is not square: films are squashed to a square.")
    known = fixed.pop() if fixed else None
    if known is not None and told.size not in (None, known):
        raise SubjectError(f"size: the graph's side is {known}, not {told.size}.")
    size = known or told.size
    if size is None:
        raise SubjectError(
            f'The graph takes pictures of any size: write "size": 224 or another into '
            f"NAME{SUFFIX} beside it."
        )
    if not SMALLEST <= size <= LARGEST:
        raise SubjectError(f"The graph's side is {size}; {SMALLEST} to {LARGEST} can be used.")
    return size


def _spec(size: int, channels: int, told: ToldInput, *, integers: bool) -> PreprocessingSpec:
    """Normalisation of grey levels in [0, 1], where ``white`` is folded into mean and std."""
    if told.white is None and told.mean is None and told.std is None and not integers:
        return PreprocessingSpec(size=size)
    white = told.white or (255.0 if integers else 1.0)
    mean = _per_channel("mean", told.mean, 0.0, channels)
    std = _per_channel("std", told.std, 1.0, channels)
    if min(map(abs, std)) == 0:
        raise SubjectError("std: it must not be 0.")
    first, second, third = ((m / white, s / white) for m, s in zip(mean, std, strict=True))
    return PreprocessingSpec(
        size=size, mean=(first[0], second[0], third[0]), std=(first[1], second[1], third[1])
    )


def _per_channel(
    name: str, told: float | tuple[float, ...] | None, default: float, channels: int
) -> tuple[float, ...]:
    """Three numbers, whatever the graph's channels: a film is grey."""
    values = (default,) if told is None else told if isinstance(told, tuple) else (told,)
    if len(values) not in (1, channels):
        raise SubjectError(f"{name}: {len(values)} numbers for {channels} channels.")
    if not np.isfinite(values).all():
        raise SubjectError(f"{name}: it must be finite.")
    return values if len(values) == 3 else values * 3


def _text(lengths: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if length is None else str(length) for length in lengths)}]"
