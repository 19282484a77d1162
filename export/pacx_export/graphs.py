"""The torch modules that become graphs: encode, predict and explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from pacx.errors import BundleError
from pacx.manifest import GraphName, HeadSpec, TensorSpec
from pacx.masks import STRUCTURES
from pacx_training.encoder import VisionTransformer
from pacx_training.perceptron import head_module
from pacx_training.segmentation import AnatomyDecoder, film_detail

BATCH = "batch"


class Encoding(NamedTuple):
    """Outputs of ``encode``: embedding ``[N, D]`` and tokens ``[N, T, D]``."""

    embedding: Tensor
    tokens: Tensor


class ExplanationTensors(NamedTuple):
    """Outputs of ``explain``: relevance ``[N, g, g]``, gradient ``[N, 3, S, S]``, logits."""

    relevance: Tensor
    input_gradient: Tensor
    logits: Tensor


class Classifier(nn.Module):
    """An encoder and heads on its CLS token; ``logits`` follow the order of the heads.

    ``anatomy`` decodes its tokens into heart and lungs, where a run has such a decoder.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        heads: Sequence[HeadSpec],
        anatomy: AnatomyDecoder | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.specs = tuple(heads)
        self.anatomy = anatomy
        width = encoder.config.embed_dim
        self.heads = nn.ModuleDict(
            {head.name: head_module(width, head.hidden, len(head.labels)) for head in heads}
        )

    @property
    def classes(self) -> int:
        """Number C of findings and values."""
        return sum(len(head.labels) for head in self.specs)

    def logits(self, embedding: Tensor) -> Tensor:
        """Embedding ``[N, D]`` -> logits ``[N, C]``."""
        return torch.cat([head(embedding) for head in self.heads.values()], dim=1)

    def masks(self, tokens: Tensor, pixel_values: Tensor) -> Tensor:
        """Tokens and normalised pixels -> logits of heart and lungs ``[N, 3, side, side]``.

        Raises:
            BundleError: There is no anatomy decoder.
        """
        if self.anatomy is None:
            raise BundleError("The run has no anatomy decoder.")
        masks: Tensor = self.anatomy(tokens, film_detail(pixel_values, self.anatomy.config.side))
        return masks

    def grid(self, patches: Tensor) -> Tensor:
        """Values of patches ``[N, T]`` -> maps ``[N, grid, grid]``."""
        side = self.encoder.config.grid
        return patches.reshape(-1, side, side)


class Encode(nn.Module):
    """Image -> embedding and tokens."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor) -> Encoding:
        """Run on normalised pixels ``[N, 3, S, S]``."""
        output = self.classifier.encoder(pixel_values)
        return Encoding(output.cls, output.tokens)


class Predict(nn.Module):
    """Image -> everything that one forward pass can answer."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Run on normalised pixels ``[N, 3, S, S]``.

        Returns:
            Embedding ``[N, D]``, tokens ``[N, T, D]``, where there are heads logits ``[N, C]``,
            the maps of rollout and of the last layer ``[N, g, g]``, and where there is an anatomy
            decoder its logits ``[N, 3, side, side]``.
        """
        model = self.classifier
        output = model.encoder(pixel_values, return_attention=True)
        return (
            output.cls,
            output.tokens,
            *((model.logits(output.cls),) if model.specs else ()),
            model.grid(rollout(output.attentions)[:, 0, 1:]),
            model.grid(output.attentions[-1].mean(dim=1)[:, 0, 1:]),
            *((model.masks(output.tokens, pixel_values),) if model.anatomy is not None else ()),
        )


class Explain(nn.Module):
    """One image and a one-hot target -> class-specific relevance and the input gradient.

    Relevance is generic attention explainability (Chefer et al. 2021, equations 5 and 6).
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor, target: Tensor) -> ExplanationTensors:
        """Run on normalised pixels ``[N, 3, S, S]`` and a one-hot target ``[N, C]``."""
        model = self.classifier
        patches = model.encoder.embed(pixel_values).detach().requires_grad_()
        output = model.encoder.encode(patches, return_attention=True)
        logits = model.logits(output.cls)
        wanted = (logits * target).sum()
        attentions = output.attentions or ()
        gradient, *gradients = torch.autograd.grad(wanted, (patches, *attentions))
        return ExplanationTensors(
            relevance=model.grid(relevance(attentions, gradients)[:, 0, 1:]),
            input_gradient=_to_pixels(model.encoder, gradient),
            logits=logits,
        )


class Traced(nn.Module):
    """A module's computation with its backward pass written out, so that it can be exported.

    The parameters are inputs of the trace and so keep their names in the graph.
    """

    def __init__(self, module: nn.Module, example: Sequence[Tensor]) -> None:
        super().__init__()
        self.module = module

        def run(parameters: dict[str, Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
            return tuple(functional_call(module, parameters, inputs))

        self.trace = make_fx(run)(self._parameters_by_name(), *example)

    def forward(self, pixel_values: Tensor, target: Tensor) -> ExplanationTensors:
        """Run on inputs of the shapes that were traced."""
        return ExplanationTensors(*self.trace(self._parameters_by_name(), pixel_values, target))

    def _parameters_by_name(self) -> dict[str, Tensor]:
        return dict(self.module.named_parameters())


def rollout(attentions: Sequence[Tensor]) -> Tensor:
    """Attention rollout (Abnar and Zuidema 2020): the product of row-normalised ``A + I``.

    Args:
        attentions: Of every block, ``[N, heads, L, L]``.

    Returns:
        ``[N, L, L]``, rows sum to one.
    """
    first = attentions[0]
    identity = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device)
    joint = identity.expand(first.shape[0], -1, -1)
    for attention in attentions:
        mixed = attention.mean(dim=1) + identity
        joint = (mixed / mixed.sum(dim=-1, keepdim=True)) @ joint
    return joint


def relevance(attentions: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Generic attention explainability (Chefer et al. 2021, equations 5 and 6).

    ``R <- R + mean_heads(relu(gradient * attention)) R``, from the identity upwards.

    Args:
        attentions: Of every block, ``[N, heads, L, L]``.
        gradients: Of the target's logit with respect to each of them.

    Returns:
        ``[N, L, L]``.
    """
    first = attentions[0]
    joint = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device)
    joint = joint.expand(first.shape[0], -1, -1)
    for attention, gradient in zip(attentions, gradients, strict=True):
        joint = joint + (gradient * attention).clamp(min=0).mean(dim=1) @ joint
    return joint


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One graph to be exported.

    Attributes:
        name: As the manifest names it.
        module: Its forward takes ``inputs`` in order and returns ``outputs`` in order.
        inputs: Names and shapes; the string ``batch`` is a dynamic axis.
        outputs: The same for what it returns.
        differentiates: Whether the module runs autograd, which an export must write out.
    """

    name: GraphName
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    differentiates: bool = False

    def answers(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Run the module in torch, float32; inputs and outputs by name."""
        outputs = self.module(*(torch.from_numpy(inputs[spec.name]) for spec in self.inputs))
        return {
            spec.name: output.detach().numpy()
            for spec, output in zip(self.outputs, outputs, strict=True)
        }


def graphs(classifier: Classifier) -> tuple[Graph, ...]:
    """Make the graphs of a bundle: encode, predict and, where there are heads, explain."""
    config, classes = classifier.encoder.config, classifier.classes
    size, side, width = config.image_size, config.grid, config.embed_dim
    pixels = TensorSpec(name="pixel_values", shape=(BATCH, config.in_channels, size, size))
    encoding = (
        TensorSpec(name="embedding", shape=(BATCH, width)),
        TensorSpec(name="tokens", shape=(BATCH, config.patches, width)),
    )
    encode = _graph("encode", Encode(classifier), (pixels,), encoding)
    if not classes:
        return encode, _predict(classifier, pixels, encoding)
    logits = TensorSpec(name="logits", shape=(BATCH, classes))
    explained = (
        TensorSpec(name="relevance", shape=(1, side, side)),
        TensorSpec(name="input_gradient", shape=(1, *pixels.shape[1:])),
        _single(logits),
    )
    inputs = (_single(pixels), TensorSpec(name="target", shape=(1, classes)))
    return (
        encode,
        _predict(classifier, pixels, (*encoding, logits)),
        _graph("explain", Explain(classifier), inputs, explained),
    )


def _predict(classifier: Classifier, pixels: TensorSpec, outputs: tuple[TensorSpec, ...]) -> Graph:
    side, anatomy = classifier.encoder.config.grid, classifier.anatomy
    for name in ("rollout", "last_layer"):
        outputs += (TensorSpec(name=name, shape=(BATCH, side, side)),)
    if anatomy is not None:
        shape = (BATCH, len(STRUCTURES), anatomy.config.side, anatomy.config.side)
        outputs += (TensorSpec(name="masks", shape=shape),)
    return _graph("predict", Predict(classifier), (pixels,), outputs)


def _graph(
    name: GraphName,
    module: nn.Module,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> Graph:
    return Graph(
        name=name,
        module=module.eval(),
        inputs=inputs,
        outputs=outputs,
        differentiates=isinstance(module, Explain),
    )


def _single(tensor: TensorSpec) -> TensorSpec:
    return tensor.model_copy(update={"shape": (1, *tensor.shape[1:])})


def _to_pixels(encoder: VisionTransformer, gradient: Tensor) -> Tensor:
    """Carry a gradient of embedded patches ``[N, T, D]`` back through the patch embedding.

    Its strides do not overlap, so this is a matrix product; the convolution's own backward pass
    has no ONNX operator.
    """
    side, patch = encoder.config.grid, encoder.config.patch_size
    weight = encoder.patch_embed.proj.weight
    pixels = gradient @ weight.flatten(1)
    tiles = pixels.reshape(-1, side, side, weight.shape[1], patch, patch)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(-1, weight.shape[1], side * patch, side * patch)
