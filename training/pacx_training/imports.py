"""``pacx import``: from somebody else's checkpoint to a run.

The authors' classification checkpoints (Lightning) bring a head: ``model.head.weight`` and
``model.head.bias``, or one linear layer within a sequence such as ``model.head.1.weight``, with
``class_names`` and ``task_type`` among the hyper-parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from pacx.errors import CheckpointError
from pacx.manifest import FindingSpec, HeadSpec, Provenance
from pacx.preprocessing import PreprocessingSpec
from pacx_training.checkpoint_input import checkpoint_input
from pacx_training.checkpoints import (
    AUTHORS_STAGE_2_EPS,
    import_encoder,
    read_hyper_parameters,
    read_tensors,
)
from pacx_training.normalisation import fold_normalisation
from pacx_training.resuming import refuse_used
from pacx_training.runs import RunDirectory, TrainedHead

_HEAD = re.compile(r"^model\.head\.(?:\d+\.)?(weight|bias)$")
_TASKS: dict[str, Literal["multilabel", "multiclass"]] = {
    "multiclass": "multiclass",
    "multilabel": "multilabel",
    "binary": "multilabel",
}

HeadTask = Literal["binary", "multilabel", "multiclass"]
Channels = tuple[float, float, float]
Normalisation = tuple[Channels, Channels]
"""Mean and standard deviation of the three channels, of grey levels in [0, 1]."""


def import_run(
    checkpoint: Path,
    output: Path,
    initialisation: str,
    *,
    layer_norm_eps: float | None = None,
    lora_alpha: float | None = None,
    labels: Sequence[str] = (),
    task: HeadTask | None = None,
    normalisation: Normalisation | None = None,
) -> None:
    """Write a run with the encoder of a checkpoint, and its linear head where it has one.

    Args:
        checkpoint: Any layout that ``import_encoder`` reads.
        output: Run folder to write.
        initialisation: What the weights are and where they come from.
        layer_norm_eps: None: 1e-5 for the authors' stage 2 and for classifiers on it, 1e-6 for
            all else.
        lora_alpha: Of the authors' stage 2; None: as the checkpoint records it, else 16.
        labels: Of the head's outputs, where the checkpoint does not name them.
        task: Of the head, where the checkpoint does not tell it.
        normalisation: Mean and standard deviation that the weights were trained with; None: as
            the hub's files beside the checkpoint state them, else ImageNet's.

    Raises:
        CheckpointError: The checkpoint cannot be read or does not fit.
        RecipeError: The folder holds what was trained on another encoder.
    """
    run = RunDirectory(output)
    refuse_used(run)
    eps = layer_norm_eps or _eps_of_classifier(checkpoint)
    encoder = import_encoder(checkpoint, layer_norm_eps=eps, lora_alpha=lora_alpha)
    wanted = _wanted(checkpoint, encoder.config.image_size, normalisation)
    fold_normalisation(encoder, wanted)
    head = import_head(checkpoint, labels, task)
    if head is None and (labels or task):
        raise CheckpointError("The checkpoint holds no head, so that it has no labels and no task.")
    run.save_encoder(encoder)
    if head is not None:
        run.save_heads([head])
    numbers = _numbers(**{"layer-norm-eps": layer_norm_eps, "lora-alpha": lora_alpha})
    steps = (f"pacx import {checkpoint.name}{numbers}{_told(wanted)}",)
    run.save_provenance(Provenance(initialisation=initialisation, sources=(), steps=steps))
    run.save_environment()


def _wanted(checkpoint: Path, size: int, normalisation: Normalisation | None) -> PreprocessingSpec:
    if normalisation is None:
        return checkpoint_input(checkpoint, size)
    mean, std = normalisation
    return PreprocessingSpec(size=size, mean=mean, std=std)


def _numbers(**options: float | None) -> str:
    """The options that change what the encoder computes, where they were given."""
    given = {name: value for name, value in options.items() if value is not None}
    return "".join(f" --{name} {value:g}" for name, value in given.items())


def _told(wanted: PreprocessingSpec) -> str:
    """The options that say what the weights were trained with, where it is not ImageNet's."""
    if wanted == PreprocessingSpec(size=wanted.size):
        return ""
    mean, std = (
        " ".join(f"{value:.9g}" for value in values) for values in (wanted.mean, wanted.std)
    )
    return f" --mean {mean} --std {std}"


def _eps_of_classifier(checkpoint: Path) -> float | None:
    """The authors' classifiers on stage 2 (``model_mode`` pacx) run with its eps; None: others."""
    mode = read_hyper_parameters(checkpoint).get("model_mode")
    return AUTHORS_STAGE_2_EPS if mode == "pacx" else None


def import_head(
    checkpoint: Path, labels: Sequence[str] = (), task: HeadTask | None = None
) -> TrainedHead | None:
    """The linear head of one of the authors' classification checkpoints; None in all others.

    Its probabilities are taken as they are: not calibrated, positive from one half on.

    Args:
        checkpoint: A torch or safetensors file.
        labels: Of its outputs; the checkpoint's ``class_names`` where empty.
        task: What its outputs are; the checkpoint's ``task_type`` where None.

    Raises:
        CheckpointError: The head is not linear, or its classes or its task are not known.
    """
    found = {
        key: value
        for key, value in read_tensors(checkpoint).items()
        if key.startswith("model.head.")
    }
    if not found:
        return None
    weight, bias = _linear(found)
    told = read_hyper_parameters(checkpoint)
    names = _labels(labels or told.get("class_names"), len(weight))
    return TrainedHead(
        spec=HeadSpec(
            name="findings",
            task=_task(task, told, len(weight)),
            findings=tuple(map(_finding, names)),
        ),
        weight=weight.float().numpy(),
        bias=bias.float().numpy(),
    )


def _linear(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    parts = {match[1]: value for key, value in tensors.items() if (match := _HEAD.match(key))}
    if len(tensors) != 2 or set(parts) != {"weight", "bias"} or parts["weight"].ndim != 2:
        raise CheckpointError(f"The head is not one linear layer: {', '.join(sorted(tensors))}.")
    return parts["weight"], parts["bias"]


def _labels(names: object, outputs: int) -> list[str]:
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise CheckpointError("The checkpoint does not name the classes of its head; name them.")
    if outputs == 1 and len(names) == 2:
        names = names[1:]  # one logit that tells the second class from the first
    if len(names) != outputs:
        raise CheckpointError(f"The head has {outputs} outputs but {len(names)} classes.")
    return [str(name) for name in names]


def _task(
    named: HeadTask | None, told: Mapping[str, object], outputs: int
) -> Literal["multilabel", "multiclass"]:
    task = named or str(told.get("task_type"))
    if task not in _TASKS:
        raise CheckpointError(
            "The checkpoint's task_type is not binary, multilabel or multiclass; name the task."
        )
    if task == "binary" and outputs > 1:
        raise CheckpointError(f"A binary head has one output, and this one has {outputs}.")
    if outputs == 1:
        return "multilabel"  # one output is binary, whatever it is called
    return _TASKS[task]


def _finding(label: str) -> FindingSpec:
    return FindingSpec(
        label=label, group="radiology", threshold=0.5, calibrated=False, simulated=False
    )
