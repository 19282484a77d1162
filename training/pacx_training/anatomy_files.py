"""The anatomy decoder of a run: ``anatomy.json`` and ``anatomy.safetensors``."""

from __future__ import annotations

from dataclasses import dataclass

import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError

from pacx.errors import CheckpointError
from pacx.manifest import AnatomySpec
from pacx_training.atomic import write_atomically
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.runs import RunDirectory
from pacx_training.segmentation import AnatomyConfig, AnatomyDecoder


@dataclass(frozen=True, slots=True, eq=False)
class TrainedAnatomy:
    """A decoder in evaluation mode, and how well it did."""

    decoder: AnatomyDecoder
    spec: AnatomySpec


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    config: AnatomyConfig
    cross_validation: AnatomySpec


def save_anatomy(run: RunDirectory, decoder: AnatomyDecoder, spec: AnatomySpec) -> None:
    """Write weights (float32), shape and cross-validation into a run."""
    tensors = {key: tensor.contiguous() for key, tensor in decoder.state_dict().items()}
    write_atomically(run.path / "anatomy.safetensors", safetensors.torch.save(tensors))
    record = _Record(config=decoder.config, cross_validation=spec)
    content = record.model_dump_json(indent=2).encode() + b"\n"
    write_atomically(run.path / "anatomy.json", content)


def load_anatomy(run: RunDirectory) -> TrainedAnatomy | None:
    """Read a run's decoder; None where it has none.

    Raises:
        CheckpointError: A file is damaged or the two disagree.
    """
    if not (run.path / "anatomy.json").is_file():
        return None
    try:
        record = _Record.model_validate_json((run.path / "anatomy.json").read_bytes())
    except ValidationError as error:
        raise CheckpointError("The run folder holds no valid anatomy.json.") from error
    decoder = AnatomyDecoder(record.config)
    load_strictly(decoder, read_tensors(run.path / "anatomy.safetensors"))
    return TrainedAnatomy(decoder.eval(), record.cross_validation)
