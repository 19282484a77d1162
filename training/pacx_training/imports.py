"""``pacx import``: from somebody else's checkpoint to a run.

The authors' classification checkpoints (Lightning) bring a head: ``model.head.weight`` and
``model.head.bias``, or one linear layer within a sequence such as ``model.head.1.weight``, with
``class_names`` and ``task_type`` among the hyper-parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from pacx.errors import CheckpointError
from pacx.manifest import FindingSpec, HeadSpec, Provenance
from pacx_training.checkpoints import import_encoder, read_hyper_parameters, read_tensors
from pacx_training.runs import RunDirectory, TrainedHead

_HEAD = re.compile(r"^model\.head\.(?:\d+\.)?(weight|bias)$")
_TASKS = {"multiclass": "multiclass", "multilabel": "multilabel", "binary": "multilabel"}


def import_run(
    checkpoint: Path,
    output: Path,
    initialisation: str,
    *,
    layer_norm_eps: float | None = None,
    lora_alpha: float = 16.0,
    labels: Sequence[str] = (),
) -> None:
    """Write a run with the encoder of a checkpoint, and its linear head where it has one.

    Args:
        checkpoint: Any layout that ``import_encoder`` reads.
        output: Run folder to write.
        initialisation: What the weights are and where they come from.
        layer_norm_eps: None: 1e-5 for the authors' stage 2, 1e-6 for all else.
        lora_alpha: Of the authors' stage 2.
        labels: Of the head's outputs, where the checkpoint does not name them.

    Raises:
        CheckpointError: The checkpoint cannot be read or does not fit.
    """
    encoder = import_encoder(checkpoint, layer_norm_eps=layer_norm_eps, lora_alpha=lora_alpha)
    head = import_head(checkpoint, labels)
    run = RunDirectory(output)
    run.save_encoder(encoder)
    if head is not None:
        run.save_heads([head])
    steps = (f"pacx import {checkpoint.name}",)
    run.save_provenance(Provenance(initialisation=initialisation, sources=(), steps=steps))
    run.save_environment()


def import_head(checkpoint: Path, labels: Sequence[str] = ()) -> TrainedHead | None:
    """The linear head of one of the authors' classification checkpoints; None in all others.

    Its probabilities are taken as they are: not calibrated, positive from one half on.

    Args:
        checkpoint: A torch or safetensors file.
        labels: Of its outputs; the checkpoint's ``class_names`` where empty.

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
    task = _TASKS.get(str(told.get("task_type")))
    if task is None:
        raise CheckpointError("The head's task_type is not binary, multilabel or multiclass.")
    return TrainedHead(
        spec=HeadSpec(name="findings", task=task, findings=tuple(map(_finding, names))),
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


def _finding(label: str) -> FindingSpec:
    return FindingSpec(
        label=label, group="radiology", threshold=0.5, calibrated=False, simulated=False
    )
