"""A run folder: what training writes and what heads, export and evaluation read.

::

    RUN/
    ├── model.safetensors    the encoder, float32, timm's keys
    ├── config.json          its EncoderConfig
    ├── heads.safetensors    heads.<name>.{weight,bias} and, of a hidden layer, .hidden.*; float32
    ├── heads.json           the HeadSpec of every head, in order
    ├── novelty.*            what chest films are like: embeddings' mean, whitening, threshold
    ├── anatomy.*            decoder of heart and lungs, with its cross-validation
    ├── provenance.json      pacx.manifest.Provenance
    ├── recipe.yaml          the recipe with all overrides
    ├── inputs.json          digests of what a training with snapshots learns from
    └── environment.json     versions of what it was made with
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors.numpy import load_file, save

from pacx.errors import CheckpointError
from pacx.manifest import HeadSpec, Provenance
from pacx_training.atomic import write_atomically
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.encoder import EncoderConfig, VisionTransformer

_PACKAGES = (
    "pacx", "torch", "accelerate", "peft", "kornia", "numpy", "scikit-learn", "scipy", "pillow"
)  # fmt: skip
_FITTED = ("heads.json", "anatomy.json", "novelty.json")
_HEADS: TypeAdapter[tuple[HeadSpec, ...]] = TypeAdapter(tuple[HeadSpec, ...])

_Model = TypeVar("_Model", bound=BaseModel)


class Environment(BaseModel):
    """What a run was made with; ``environment.json``."""

    model_config = ConfigDict(frozen=True)

    python: str
    system: str
    packages: dict[str, str]

    @classmethod
    def current(cls) -> Environment:
        """The environment of this process, without paths or host names."""
        packages = {name: found for name in _PACKAGES if (found := _version(name))}
        return cls(
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}",
            packages=packages,
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainedHead:
    """A trained head: ``logits = x @ weight.T + bias``, any standardisation folded in.

    ``x`` is the embedding, or ``relu(embedding @ hidden_weight.T + hidden_bias)``.

    Attributes:
        spec: Its findings or values, in the order of the rows of ``weight``.
        weight: float32 ``[C, D]``, or ``[C, H]`` behind a hidden layer.
        bias: float32 ``[C]``.
        hidden_weight: float32 ``[H, D]``; None where there is no hidden layer.
        hidden_bias: float32 ``[H]``; likewise.
    """

    spec: HeadSpec
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    hidden_weight: NDArray[np.float32] | None = None
    hidden_bias: NDArray[np.float32] | None = None

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Its arrays under the names that the module of a head has for them."""
        named = {
            "weight": self.weight,
            "bias": self.bias,
            "hidden.weight": self.hidden_weight,
            "hidden.bias": self.hidden_bias,
        }
        return {name: array for name, array in named.items() if array is not None}


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Reads and writes one run folder; every file is replaced atomically."""

    path: Path

    @property
    def recipe(self) -> Path:
        """Where the recipe with its overrides lies."""
        return self.path / "recipe.yaml"

    @property
    def inputs(self) -> Path:
        """Where a training with snapshots says what it learns from."""
        return self.path / "inputs.json"

    @property
    def checkpoints(self) -> Path:
        """Where the training loop keeps what it resumes from."""
        return self.path / "checkpoints"

    @property
    def begun(self) -> bool:
        """Whether a training left something here to go on from."""
        return any(self.checkpoints.glob("step-*"))

    @property
    def metrics(self) -> Path:
        """Where the training loop writes its curves as CSV."""
        return self.path / "metrics.csv"

    @property
    def encoder_digest(self) -> str:
        """SHA-256 of the encoder's weights.

        Raises:
            CheckpointError: The folder holds none.
        """
        try:
            weights = (self.path / "model.safetensors").read_bytes()
        except OSError as error:
            raise CheckpointError("The run folder holds no model.safetensors.") from error
        return hashlib.sha256(weights).hexdigest()

    def require_unfitted(self) -> None:
        """Refuse to put another encoder below what was fitted to the one that is here.

        Raises:
            CheckpointError: There are heads, a decoder of anatomy or novelty.
        """
        found = [name for name in _FITTED if (self.path / name).exists()]
        if found:
            raise CheckpointError(
                f"The run folder holds what was fitted to its encoder ({', '.join(found)}), and "
                "would answer nonsense on another; choose another folder."
            )

    def save_encoder(self, encoder: VisionTransformer) -> None:
        """Write the encoder's weights (float32, timm's keys) and its configuration."""
        state = encoder.state_dict()
        tensors = {key: tensor.float().contiguous() for key, tensor in state.items()}
        content = safetensors.torch.save(tensors)
        self._write_model("config.json", encoder.config)
        write_atomically(self.path / "model.safetensors", content)

    def load_encoder(self) -> VisionTransformer:
        """The encoder in evaluation mode.

        Raises:
            CheckpointError: Files are missing, damaged or disagree.
        """
        encoder = VisionTransformer(self.load_config())
        load_strictly(encoder, read_tensors(self.path / "model.safetensors"))
        return encoder.eval()

    def load_config(self) -> EncoderConfig:
        """The encoder's configuration.

        Raises:
            CheckpointError: Missing or not a configuration.
        """
        return self._read_model("config.json", EncoderConfig)

    def save_heads(self, heads: Iterable[TrainedHead]) -> None:
        """Write all heads of the run, replacing what was there."""
        heads = tuple(heads)
        tensors: dict[str, NDArray[np.float32]] = {}
        for head in heads:
            prefix = f"heads.{head.spec.name}"
            tensors |= {f"{prefix}.{name}": array for name, array in head.tensors.items()}
        write_atomically(self.path / "heads.safetensors", save(tensors))
        specs = _HEADS.dump_json(tuple(head.spec for head in heads), indent=2)
        write_atomically(self.path / "heads.json", specs + b"\n")

    def load_heads(self) -> tuple[TrainedHead, ...]:
        """The heads in their order; empty where none was trained.

        Raises:
            CheckpointError: The two files disagree or are damaged.
        """
        if not (self.path / "heads.json").is_file():
            return ()
        try:
            specs = _HEADS.validate_json((self.path / "heads.json").read_bytes())
            tensors = load_file(self.path / "heads.safetensors")
            return tuple(
                TrainedHead(
                    spec=spec,
                    weight=tensors[f"heads.{spec.name}.weight"],
                    bias=tensors[f"heads.{spec.name}.bias"],
                    hidden_weight=tensors.get(f"heads.{spec.name}.hidden.weight"),
                    hidden_bias=tensors.get(f"heads.{spec.name}.hidden.bias"),
                )
                for spec in specs
            )
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointError("heads.json and heads.safetensors do not agree.") from error

    def save_provenance(self, provenance: Provenance) -> None:
        """Write where the model comes from."""
        self._write_model("provenance.json", provenance)

    def load_provenance(self) -> Provenance:
        """Where the model comes from.

        Raises:
            CheckpointError: Missing or malformed.
        """
        return self._read_model("provenance.json", Provenance)

    def save_environment(self) -> None:
        """Write the versions of this process."""
        self._write_model("environment.json", Environment.current())

    def _write_model(self, name: str, model: BaseModel) -> None:
        write_atomically(self.path / name, model.model_dump_json(indent=2).encode() + b"\n")

    def _read_model(self, name: str, kind: type[_Model]) -> _Model:
        try:
            return kind.model_validate_json((self.path / name).read_bytes())
        except (OSError, ValidationError) as error:
            raise CheckpointError(f"The run folder holds no valid {name}.") from error


def default_device() -> torch.device:
    """The accelerator of this machine, or the processor where there is none."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")
