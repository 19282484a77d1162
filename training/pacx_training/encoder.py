"""The vision transformer: state-dict keys as timm's ViT and facebookresearch/mae name them."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from pacx_training.positions import sincos_positions

_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
_NAME = re.compile(r"^vit_(tiny|small|base)_patch(\d+)_(\d+)$")


class EncoderConfig(BaseModel):
    """The shape of an encoder; ``config.json`` of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(224, ge=16, description="Side of the square input, pixels.")
    patch_size: int = Field(16, ge=1, description="Side of a square patch, pixels.")
    in_channels: int = Field(3, ge=1)
    embed_dim: int = Field(768, ge=4, description="Width of a token.")
    depth: int = Field(12, ge=1, description="Number of blocks.")
    num_heads: int = Field(12, ge=1, description="Attention heads of a block.")
    mlp_ratio: float = Field(4.0, gt=0, description="Hidden width of the MLP over embed_dim.")
    qkv_bias: bool = True
    layer_norm_eps: float = Field(1e-6, gt=0, description="1e-5 for the authors' stage 2.")
    position_embedding: Literal["sincos", "learned"] = Field(
        "sincos", description="Fixed table of the paper, or learned (DINOv2-derived weights)."
    )

    @model_validator(mode="after")
    def _divisible(self) -> EncoderConfig:
        if self.image_size % self.patch_size:
            raise ValueError("image_size must be a multiple of patch_size")
        if self.embed_dim % self.num_heads:
            raise ValueError("embed_dim must be a multiple of num_heads")
        return self

    @classmethod
    def named(
        cls, architecture: str, position_embedding: Literal["sincos", "learned"] = "sincos"
    ) -> EncoderConfig:
        """The configuration of one of timm's names, such as ``vit_small_patch16_224``.

        Raises:
            ValueError: Not ``vit_{tiny,small,base}_patch{P}_{S}``.
        """
        match = _NAME.match(architecture)
        if match is None:
            raise ValueError("expected vit_{tiny,small,base}_patch<P>_<S>")
        width, depth, heads = _SIZES[match[1]]
        return cls(
            image_size=int(match[3]),
            patch_size=int(match[2]),
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            position_embedding=position_embedding,
        )

    @property
    def architecture(self) -> str:
        """The name in timm; shapes that timm does not name are spelt out by width and depth."""
        shape = (self.embed_dim, self.depth, self.num_heads)
        names = [name for name, size in _SIZES.items() if size == shape]
        size = names[0] if names else "x".join(str(number) for number in shape)
        return f"vit_{size}_patch{self.patch_size}_{self.image_size}"

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Number T of patch tokens."""
        return self.grid**2


class EncoderOutput(NamedTuple):
    """What the encoder answers, all after the final norm.

    Attributes:
        cls: The embedding, ``[N, D]``.
        tokens: Patch tokens, row by row, ``[N, T, D]``.
        attentions: Of every block ``[N, heads, T + 1, T + 1]`` (CLS first), rows sum to one;
            None where they were not asked for.
    """

    cls: Tensor
    tokens: Tensor
    attentions: tuple[Tensor, ...] | None


class PatchEmbedding(nn.Module):
    """Non-overlapping patches through one linear map, written as a convolution."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.embed_dim, size, stride=size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``[N, C, H, W]`` -> tokens ``[N, T, D]``."""
        embedded: Tensor = self.proj(pixels)
        return embedded.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dimension: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dimension, 3 * dimension, bias=qkv_bias)
        self.proj = nn.Linear(dimension, dimension)

    def forward(
        self, tokens: Tensor, return_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens ``[N, L, D]`` -> the same shape, and the maps ``[N, heads, L, L]`` if asked."""
        batch, length, dimension = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, length, 3, self.heads, dimension // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights: Tensor | None = None
        # The fused kernel's backward pass in bf16 is up to ten times slower on a processor.
        if return_attention or (query.dtype == torch.bfloat16 and query.device.type == "cpu"):
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
            weights = scores.softmax(dim=-1)
            mixed = weights @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, dimension))
        return joined, weights if return_attention else None


class MultilayerPerceptron(nn.Module):
    """Linear - GELU - Linear."""

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dimension, hidden)
        self.fc2 = nn.Linear(hidden, dimension)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[N, L, D]`` -> the same shape."""
        projected: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return projected


class Block(nn.Module):
    """A pre-norm transformer block; the decoder of stage 1 is made of these too."""

    def __init__(
        self, dimension: int, heads: int, *, mlp_ratio: float, eps: float, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dimension, eps=eps)
        self.attn = Attention(dimension, heads, qkv_bias=qkv_bias)
        self.norm2 = nn.LayerNorm(dimension, eps=eps)
        self.mlp = MultilayerPerceptron(dimension, int(dimension * mlp_ratio))

    def forward(
        self, tokens: Tensor, return_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens ``[N, L, D]`` -> the same shape, and the attention maps if asked."""
        mixed, weights = self.attn(self.norm1(tokens), return_attention)
        tokens = tokens + mixed
        return tokens + self.mlp(self.norm2(tokens)), weights


class VisionTransformer(nn.Module):
    """The encoder of the paper: pre-norm ViT whose CLS token is the embedding."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim))
        self.pos_embed = nn.Parameter(
            sincos_positions(config.embed_dim, config.grid),
            requires_grad=config.position_embedding == "learned",
        )
        self.blocks = nn.ModuleList(
            Block(
                config.embed_dim,
                config.num_heads,
                mlp_ratio=config.mlp_ratio,
                eps=config.layer_norm_eps,
                qkv_bias=config.qkv_bias,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_eps)
        initialise(self)

    def embed(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``[N, C, S, S]`` -> patches with their positions ``[N, T, D]``."""
        patches: Tensor = self.patch_embed(pixels)
        return patches + self.pos_embed[:, 1:]

    def encode(self, patches: Tensor, *, return_attention: bool = False) -> EncoderOutput:
        """Run the blocks over CLS and any subset of embedded patches.

        Args:
            patches: ``[N, K, D]`` from :meth:`embed`; K may be smaller than T.
            return_attention: Whether to answer the attention of every block.
        """
        return self.finish(self.start(patches), return_attention=return_attention)

    def start(self, patches: Tensor, *, blocks: int = 0) -> Tensor:
        """Run the first ``blocks`` blocks: embedded patches ``[N, K, D]`` -> ``[N, K + 1, D]``."""
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(patches.shape[0], -1, -1)
        tokens = torch.cat([cls, patches], dim=1)
        for block in self.blocks[:blocks]:
            tokens, _ = block(tokens)
        return tokens

    def finish(
        self, tokens: Tensor, *, blocks: int = 0, return_attention: bool = False
    ) -> EncoderOutput:
        """Run the blocks that :meth:`start` left, and the final norm."""
        maps: list[Tensor] = []
        for block in self.blocks[blocks:]:
            tokens, weights = block(tokens, return_attention)
            if weights is not None:
                maps.append(weights)
        tokens = self.norm(tokens)
        return EncoderOutput(tokens[:, 0], tokens[:, 1:], tuple(maps) if return_attention else None)

    def forward(self, pixels: Tensor, *, return_attention: bool = False) -> EncoderOutput:
        """Encode whole pictures.

        Args:
            pixels: float ``[N, C, S, S]``, normalised as ``PreprocessingSpec`` says.
            return_attention: Whether to answer the attention of every block.
        """
        return self.encode(self.embed(pixels), return_attention=return_attention)

    def forward_visible(self, pixels: Tensor, visible: Tensor) -> EncoderOutput:
        """Encode only some patches of each picture, as masked autoencoding does.

        Args:
            pixels: float ``[N, C, S, S]``, normalised.
            visible: int64 ``[N, K]``, which patches stay; tokens come back in this order.
        """
        patches = self.embed(pixels)
        index = visible.unsqueeze(-1).expand(-1, -1, patches.shape[-1])
        return self.encode(patches.gather(1, index))


def initialise(module: nn.Module) -> None:
    """Initialise as facebookresearch/mae does: Xavier for maps, normal (0.02) for CLS."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, PatchEmbedding):
            nn.init.xavier_uniform_(part.proj.weight.view(part.proj.weight.shape[0], -1))
        elif isinstance(part, VisionTransformer):
            nn.init.normal_(part.cls_token, std=0.02)
