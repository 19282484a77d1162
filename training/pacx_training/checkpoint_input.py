"""How a published checkpoint wants its pixels, where a file of its hub lies beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacx.errors import CheckpointError
from pacx.preprocessing import PreprocessingSpec

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
Channels = tuple[float, float, float]
Deviation = Annotated[float, Field(gt=0)]
Deviations = tuple[Deviation, Deviation, Deviation]


class _Normalisation(BaseModel):
    """Fields of timm's ``pretrained_cfg`` or of Hugging Face's ``preprocessor_config.json``."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    mean: Channels = Field(validation_alias="mean")
    std: Deviations = Field(validation_alias="std")


class _ImageProcessor(_Normalisation):
    mean: Channels = Field(validation_alias="image_mean")
    std: Deviations = Field(validation_alias="image_std")


def is_hub_folder(folder: Path) -> bool:
    """Whether a folder holds a model as timm or Hugging Face publish it, and no run of ours."""
    told = _read(folder / CONFIG)
    return not told.keys().isdisjoint(("pretrained_cfg", "architecture", "architectures"))


def weights_in(folder: Path) -> Path:
    """The weights of a hub's folder.

    Raises:
        CheckpointError: There are none.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"{folder.name} holds neither model.safetensors nor pytorch_model.bin.")


def checkpoint_input(checkpoint: Path, size: int) -> PreprocessingSpec:
    """The spec of a checkpoint: mean and standard deviation as its hub states them, or ImageNet's.

    Films are squashed to the side of the weights' own positions, whatever the hub says of crops
    and interpolation, so that all subjects see the same of a film.

    Args:
        checkpoint: The file; ``config.json`` (timm) and ``preprocessor_config.json`` (Hugging
            Face) are looked for beside it.
        size: Side of the encoder's input.

    Raises:
        CheckpointError: One of them states what cannot be used; names the field.
    """
    told = _read(checkpoint.with_name(CONFIG))
    timm = told.get("pretrained_cfg", told if "architecture" in told else {})
    if not isinstance(timm, dict):
        raise CheckpointError(f"{CONFIG}: pretrained_cfg: it must be an object.")
    if {"mean", "std"} & timm.keys():
        return _spec(_Normalisation, timm, CONFIG, size)
    processor = _read(checkpoint.with_name(PREPROCESSOR))
    if processor.get("do_normalize") is False:
        return PreprocessingSpec(size=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    if {"image_mean", "image_std"} & processor.keys():
        return _spec(_ImageProcessor, processor, PREPROCESSOR, size)
    return PreprocessingSpec(size=size)


def _spec(
    kind: type[_Normalisation], told: dict[str, Any], name: str, size: int
) -> PreprocessingSpec:
    try:
        found = kind.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise CheckpointError(f"{name}: {first['loc'][0]}: {first['msg']}.") from error
    return PreprocessingSpec(size=size, mean=found.mean, std=found.std)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path.name} beside the weights is no JSON.") from error
    return content if isinstance(content, dict) else {}
