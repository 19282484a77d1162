"""Weights from elsewhere: timm, facebookresearch/mae, DINOv2 and the authors' checkpoints.

Pickles are read with ``weights_only=True``, so that no checkpoint can run code; besides tensors
and plain values only ``argparse.Namespace``, which Lightning stores, is allowed.
"""

from __future__ import annotations

import re
import struct
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from pacx.errors import CheckpointError
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.fusion import fuse_adapter
from pacx_training.positions import resize_positions, sincos_positions

AUTHORS_STAGE_2_EPS = 1e-5
"""PyTorch's default, which the authors' stage 2 runs with; stage 1 and all others have 1e-6."""

DEFAULT_EPS = 1e-6
AUTHORS_ALPHA = 16.0
"""LoRA's numerator where a stage 2 of the authors does not record its own."""

HEAD_WIDTH = 64
"""Width of an attention head in every ViT that timm names; state dicts do not record it."""

# What the two readers raise for damaged bytes.
_UNREADABLE = (
    SafetensorError,
    UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    struct.error,
)
_NESTED = ("state_dict", "model", "model_state_dict")
_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
_PARALLEL = "module."
_STAGE_2 = "cxr_encoder."
_PREFIXES = (_STAGE_2, "model.", "backbone.", "encoder.")
_NOT_ENCODER = re.compile(r"^(decoder|mask_token|head\.|fc_norm\.|head_drop|rope)")
_FROM_HUGGING_FACE = (
    (re.compile(r"^embeddings\.patch_embeddings\.projection\."), "patch_embed.proj."),
    (re.compile(r"^embeddings\.position_embeddings$"), "pos_embed"),
    (re.compile(r"^embeddings\.cls_token$"), "cls_token"),
    (re.compile(r"^embeddings\.mask_token$"), "mask_token"),
    (re.compile(r"^layernorm\."), "norm."),
    (re.compile(r"^layer\.(\d+)\.attention\.output\.dense\."), r"blocks.\1.attn.proj."),
    (re.compile(r"^layer\.(\d+)\.attention\.attention\."), r"blocks.\1.attn."),
    (re.compile(r"^layer\.(\d+)\.layer_scale(\d)\.lambda1$"), r"blocks.\1.ls\2.gamma"),
    (re.compile(r"^layer\.(\d+)\."), r"blocks.\1."),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file or a torch checkpoint, by their names.

    What ``torch.compile`` and data parallelism put before a name is left out.

    Raises:
        CheckpointError: Missing, damaged, or a pickle that asks for more than tensors.
    """
    content = _read(path)
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise CheckpointError("The checkpoint holds no state dict.")
    return {_unwrapped(str(k)): v for k, v in content.items() if isinstance(v, Tensor)}


def _unwrapped(key: str) -> str:
    return _COMPILED.sub(r"\1", key).removeprefix(_PARALLEL)


def read_hyper_parameters(path: Path) -> dict[str, object]:
    """What Lightning recorded of a model's arguments; empty where it recorded nothing.

    Raises:
        CheckpointError: As :func:`read_tensors`.
    """
    content = _read(path)
    told = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    if isinstance(told, Namespace):
        told = vars(told)
    return {str(key): value for key, value in told.items()} if isinstance(told, Mapping) else {}


def _read(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError("There is no such checkpoint file.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(
            "The checkpoint is damaged or holds more than tensors; "
            "save the plain state dict, best as safetensors."
        ) from error


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load a state dict; every key and every shape must fit.

    Raises:
        CheckpointError: Lists what is missing, what is unexpected and what has another shape.
    """
    wanted = module.state_dict()
    shared = wanted.keys() & tensors.keys()
    problems = {
        "missing": wanted.keys() - tensors.keys(),
        "unexpected": tensors.keys() - wanted.keys(),
        "of another shape": {key for key in shared if wanted[key].shape != tensors[key].shape},
    }
    found = [f"{kind}: {', '.join(sorted(keys))}" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError("The checkpoint does not fit. " + "; ".join(found) + ".")
    module.load_state_dict(dict(tensors), strict=True)


def import_encoder(
    path: Path, *, layer_norm_eps: float | None = None, lora_alpha: float | None = None
) -> VisionTransformer:
    """Read an encoder from any layout that this module knows, recognised by its keys.

    Args:
        path: timm, facebookresearch/mae, DINOv2 in Hugging Face's or its own naming, or a
            Lightning checkpoint of the authors: stage 1 (``model.*``), stage 2
            (``cxr_encoder.*``, with PEFT's updates or merged) or classification
            (``model.backbone.*``). Decoders, heads and teachers are left out.
        layer_norm_eps: Above 0. None: 1e-5 for ``cxr_encoder.*``, 1e-6 for all else. The authors'
            merged stage 2 under plain names cannot be told from stage 1: say 1e-5.
        lora_alpha: LoRA's numerator, where there are updates. None: as Lightning recorded it, else
            16.

    Raises:
        CheckpointError: The file cannot be read or does not fit.
    """
    tensors = read_tensors(path)
    stage_2 = {k: value for k, value in tensors.items() if k.startswith(_STAGE_2)}
    if stage_2:
        tensors = fuse_adapter(stage_2, alpha=_alpha(path) if lora_alpha is None else lora_alpha)
    named = _encoder_names(tensors)
    if any(key.endswith("ls1.gamma") for key in named):
        return import_dinov2(path, layer_norm_eps=layer_norm_eps or DEFAULT_EPS)
    eps = layer_norm_eps or (AUTHORS_STAGE_2_EPS if stage_2 else DEFAULT_EPS)
    encoder = VisionTransformer(_infer_config(named).model_copy(update={"layer_norm_eps": eps}))
    load_strictly(encoder, named)
    return encoder


def _alpha(path: Path) -> float:
    """What a stage 2 was trained with: another alpha makes another encoder of the same file."""
    told = read_hyper_parameters(path).get("lora_alpha", AUTHORS_ALPHA)
    if not isinstance(told, int | float):
        raise CheckpointError("The checkpoint's lora_alpha is no number; name it.")
    return float(told)


def import_dinov2(
    path: Path,
    *,
    patch_size: int = 16,
    image_size: int = 224,
    layer_norm_eps: float = DEFAULT_EPS,
) -> VisionTransformer:
    """A DINOv2 backbone as a plain ViT with learned positions.

    The patch kernel is resized by the pseudo-inverse (FlexiViT, arXiv 2212.08013, section 3.4),
    positions are interpolated, LayerScale is folded into the maps that it follows.

    Args:
        path: DINOv2 without registers, Hugging Face's names or its own.
        patch_size: Wanted side of a patch, pixels.
        image_size: Wanted side of the input, pixels.
        layer_norm_eps: Above 0; DINOv2 itself has 1e-6.

    Raises:
        CheckpointError: The file cannot be read or is no DINOv2 backbone.
    """
    tensors = _fold_layer_scale(_encoder_names(read_tensors(path)))
    kernel, positions = (_need(tensors, key) for key in ("patch_embed.proj.weight", "pos_embed"))
    tensors["patch_embed.proj.weight"] = resize_kernel(kernel, patch_size)
    tensors["pos_embed"] = resize_positions(positions, image_size // patch_size)
    config = _infer_config(tensors).model_copy(update={"layer_norm_eps": layer_norm_eps})
    encoder = VisionTransformer(config)
    load_strictly(encoder, tensors)
    return encoder


def resize_kernel(kernel: Tensor, size: int) -> Tensor:
    """Resize a patch kernel so that resized patches keep their embedding.

    With B the resize of a patch, ``w' = pinv(B^T) w`` makes ``<B x, w'> = <x, w>`` for every
    patch x when enlarging, and the least-squares answer when shrinking.

    Args:
        kernel: ``[D, C, s, s]``.
        size: Wanted side.

    Returns:
        float32 ``[D, C, size, size]``.
    """
    side = kernel.shape[-1]
    if side == size:
        return kernel.float()
    basis = torch.eye(side * side, dtype=torch.float64).reshape(-1, 1, side, side)
    resized = functional.interpolate(
        basis, size=(size, size), mode="bicubic", antialias=True, align_corners=False
    )
    matrix = torch.linalg.pinv(resized.reshape(side * side, size * size))
    flat = kernel.double().reshape(*kernel.shape[:2], -1)
    resized_kernel: Tensor = (flat @ matrix.T).reshape(*kernel.shape[:2], size, size)
    return resized_kernel.float()


def _need(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in tensors:
        raise CheckpointError(f"The checkpoint holds no {key}: it is no ViT encoder.")
    return tensors[key]


def _encoder_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {_strip(key): value.float() for key, value in tensors.items()}
    for pattern, name in _FROM_HUGGING_FACE:
        named = {pattern.sub(name, key): value for key, value in named.items()}
    return _join_qkv({k: v for k, v in named.items() if not _NOT_ENCODER.match(k)})


def _strip(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _join_qkv(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for key in [key for key in tensors if ".attn.query." in key]:
        names = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        joined = torch.cat([_need(tensors, name) for name in names])
        tensors[key.replace(".query.", ".qkv.")] = joined
        for name in names:
            del tensors[name]
    return tensors


def _fold_layer_scale(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for key in [key for key in tensors if key.endswith(".gamma")]:
        block, scale, _ = key.rsplit(".", 2)
        layer = f"{block}.attn.proj" if scale == "ls1" else f"{block}.mlp.fc2"
        gamma = tensors.pop(key)
        tensors[f"{layer}.weight"] = _need(tensors, f"{layer}.weight") * gamma[:, None]
        tensors[f"{layer}.bias"] = _need(tensors, f"{layer}.bias") * gamma
    return tensors


def _infer_config(tensors: Mapping[str, Tensor]) -> EncoderConfig:
    try:
        return _config_of(tensors)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise CheckpointError(
            "The shapes of the checkpoint's tensors are not those of a ViT encoder."
        ) from error


def _config_of(tensors: Mapping[str, Tensor]) -> EncoderConfig:
    kernel, positions = (_need(tensors, key) for key in ("patch_embed.proj.weight", "pos_embed"))
    width, channels, patch, _ = kernel.shape
    if channels != 3:
        raise CheckpointError(f"Its input has {channels} channels, and PaCX's pictures have 3.")
    if width % HEAD_WIDTH:
        raise CheckpointError(
            f"Tokens of {width} numbers are no multiple of {HEAD_WIDTH}, so that the number of "
            "attention heads, which no state dict records, is not known."
        )
    grid = round((positions.shape[1] - 1) ** 0.5)
    fixed = width % 4 == 0 and torch.allclose(positions, sincos_positions(width, grid), atol=1e-5)
    return EncoderConfig(
        image_size=grid * patch,
        patch_size=patch,
        in_channels=channels,
        embed_dim=width,
        depth=1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("blocks.")),
        num_heads=width // HEAD_WIDTH,
        mlp_ratio=_need(tensors, "blocks.0.mlp.fc1.weight").shape[0] / width,
        qkv_bias="blocks.0.attn.qkv.bias" in tensors,
        position_embedding="sincos" if fixed else "learned",
    )
