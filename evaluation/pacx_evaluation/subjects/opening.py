"""From what stands on the command line to an encoder."""

from __future__ import annotations

import re
from pathlib import Path

from pacx.bundle import MANIFEST, bundled
from pacx.errors import SubjectError
from pacx_evaluation.subjects.encoder import Encoder
from pacx_training.checkpoint_input import CONFIG, is_hub_folder, weights_in

_NAMED = re.compile(r"^(?P<name>[^=/\\]+)=(?P<subject>.+)$")
_CHECKPOINTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
_RANDOM = "random:"


def open_subject(text: str, *, seed: int = 0) -> Encoder:
    """Open a subject.

    Args:
        text: ``random:vit_small_patch16_224``, the address of a server, a bundle (its folder,
            or the name of one that comes with PaCX), a run folder, a model as timm publishes it,
            an ONNX file or a checkpoint; ``NAME=`` before it gives it a name in the report.
        seed: Of random weights.

    Raises:
        SubjectError: It is none of these.
        BundleError: A bundle is damaged.
        CheckpointError: A run or checkpoint is.
    """
    match = _NAMED.match(text)
    subject = match["subject"] if match else text
    name = match["name"] if match else _default_name(text)
    if subject.startswith(_RANDOM):
        from pacx_evaluation.subjects.torch_encoder import random_weights

        return random_weights(subject.removeprefix(_RANDOM), name, seed)
    if subject.startswith(("http://", "https://")):
        from pacx_evaluation.subjects.server_encoder import from_server

        return from_server(subject, name)
    return _open_path(subject, name)


def _default_name(text: str) -> str:
    if text.startswith(_RANDOM):
        return "random weights"
    return "server" if text.startswith("http") else Path(text).name


def _open_path(subject: str, name: str) -> Encoder:
    shipped, path = bundled(subject), Path(subject)
    folder = shipped if subject and (shipped / MANIFEST).is_file() else path
    if (folder / MANIFEST).is_file():
        from pacx_evaluation.subjects.bundle_encoder import from_bundle

        return from_bundle(folder, name)
    if path.suffix == ".onnx" and path.is_file():
        from pacx_evaluation.subjects.onnx_encoder import from_onnx

        return from_onnx(path, name)
    if is_hub_folder(path):
        path = weights_in(path)
    if (path / CONFIG).is_file():
        from pacx_evaluation.subjects.torch_encoder import from_run

        return from_run(path, name)
    if path.suffix in _CHECKPOINTS and path.is_file():
        from pacx_evaluation.subjects.torch_encoder import from_checkpoint

        return from_checkpoint(path, name)
    raise SubjectError(
        f"{name} is no subject: give a bundle, a run folder, a checkpoint, an ONNX file, the "
        f"address of a server, or {_RANDOM}vit_small_patch16_224."
    )
