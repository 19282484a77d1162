"""The two weight files of a bundle, and the classifier that computes exactly what they hold."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pacx.bundle import HEADS, WEIGHTS, Bundle, labels_key
from pacx.errors import BundleError
from pacx.novelty import MEAN, WHITENING
from pacx_export.graphs import Classifier
from pacx_training.anatomy_files import load_anatomy
from pacx_training.bundle_weights import bundle_decoder, bundle_network
from pacx_training.novelty import FittedNovelty
from pacx_training.runs import RunDirectory, TrainedHead

ROUNDING_LIMIT = 1e-5
"""Of 1 - cosine between embeddings of the run's weights and of the same in float16."""
_BATCH = 8


def load_classifier(run: RunDirectory) -> Classifier:
    """Read encoder and heads of a run, the encoder rounded to the float16 that a bundle stores.

    Raises:
        CheckpointError: Files of the run are missing, damaged or disagree.
        BundleError: A head has another shape than its labels, or a weight does not fit into
            float16.
    """
    heads = run.load_heads()
    anatomy = load_anatomy(run)
    specs = [head.spec for head in heads]
    classifier = Classifier(run.load_encoder(), specs, anatomy.decoder if anatomy else None)
    for head in heads:
        _load_head(classifier, head)
    _round(classifier.encoder)
    return classifier.eval().requires_grad_(False)


def bundle_classifier(bundle: Bundle) -> Classifier:
    """Encoder, heads and anatomy decoder in float32, with the weights that a bundle stores.

    Raises:
        CheckpointError: The weights are no encoder or no decoder.
    """
    classifier = Classifier(bundle_network(bundle), bundle.manifest.heads, bundle_decoder(bundle))
    stored = load_file(bundle.path(HEADS))
    wanted = classifier.heads.state_dict()
    classifier.heads.load_state_dict({key: stored[f"heads.{key}"] for key in wanted})
    return classifier.eval().requires_grad_(False)


def check_rounding(run: RunDirectory, classifier: Classifier, pixel_values: Tensor) -> float:
    """Prove that the weights that are stored compute what the run's own do.

    Args:
        run: With the encoder in float32.
        classifier: What :func:`load_classifier` made of it.
        pixel_values: float32 ``[N, 3, S, S]``.

    Returns:
        The worst distance, 1 - cosine, of two embeddings of one picture.

    Raises:
        BundleError: It is over ``ROUNDING_LIMIT``.
    """
    encoders = run.load_encoder().eval(), classifier.encoder
    worst = 0.0
    with torch.inference_mode():
        for start in range(0, len(pixel_values), _BATCH):
            batch = pixel_values[start : start + _BATCH]
            ours, stored = (encoder(batch).cls.double() for encoder in encoders)
            distances = 1 - torch.cosine_similarity(ours, stored)
            worst = max(worst, float(distances.max()))
    if not worst <= ROUNDING_LIMIT:
        raise BundleError(
            f"In float16 the encoder computes something else: embeddings differ by {worst:.1e} "
            f"from those of the run, and {ROUNDING_LIMIT:.0e} is allowed."
        )
    return worst


def write_weights(
    classifier: Classifier, directory: Path, novelty: FittedNovelty | None = None
) -> None:
    """Write ``model.safetensors`` (float16, timm's keys) and ``heads.safetensors`` (float32).

    The second file holds the heads, the anatomy decoder and what is known about novelty.
    The labels of every head stand in its metadata, so that a manifest that names
    them in another order is found out.
    """
    state = classifier.encoder.state_dict()
    encoder = {key: tensor.half().contiguous() for key, tensor in state.items()}
    (directory / WEIGHTS).write_bytes(save(encoder, metadata={"format": "pt"}))
    heads = {f"heads.{key}": value for key, value in classifier.heads.state_dict().items()}
    if classifier.anatomy is not None:
        heads |= {f"anatomy.{key}": v for key, v in classifier.anatomy.state_dict().items()}
    if novelty is not None:
        arrays = {MEAN: novelty.mean, WHITENING: novelty.whitening}
        heads |= {key: torch.from_numpy(array) for key, array in arrays.items()}
    labels = {labels_key(head.name): json.dumps(head.labels) for head in classifier.specs}
    (directory / HEADS).write_bytes(save(heads, metadata={"format": "pt", **labels}))


def _load_head(classifier: Classifier, head: TrainedHead) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in head.tensors.items()}
    try:
        classifier.heads[head.spec.name].load_state_dict(tensors)
    except RuntimeError as error:
        raise BundleError(
            f"The head {head.spec.name} has another shape than its labels ask for."
        ) from error


def _round(encoder: nn.Module) -> None:
    for name, tensor in encoder.state_dict().items():
        rounded = tensor.half().float()
        if not torch.isfinite(rounded).all():
            raise BundleError(f"{name} holds a number that float16 cannot hold.")
        tensor.copy_(rounded)
