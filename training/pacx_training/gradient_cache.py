"""Losses that compare the rows of a batch, over a batch that no device holds at once.

Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (RepL4NLP
2021): represent all parts without gradients, judge them together, and bring the gradients of the
representations through the network part by part. The gradients are those of the whole batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Representations = Mapping[str, Tensor]
"""Tensors ``[rows, ...]`` by name; those of floating point carry gradients."""


class Comparing(nn.Module, ABC):
    """A training step whose loss compares rows: it judges what it represents of a batch.

    Parameters that :meth:`judge` trains, such as a temperature, are the module's own.
    """

    @property
    @abstractmethod
    def represent(self) -> Callable[..., Representations]:
        """Tells all that the loss needs to know of the rows of a batch."""

    @abstractmethod
    def judge(self, representations: Representations) -> dict[str, Tensor]:
        """The loss of rows that were represented, and its parts."""

    def forward(
        self, *batch: Tensor, gradients: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the loss over the rows of all ranks together, and its parts.

        Args:
            *batch: What ``represent`` takes.
            gradients: Of the representations, from a loss over more rows than these; the answer
                is then only the ``loss`` that brings them back.
        """
        representations = self.represent(*batch)
        if gradients is None:
            return self.judge(representations)
        loss = surrogate(representations, gradients)
        for parameter in self.parameters(recurse=False):
            # Every parameter takes part in every step, as data parallelism asks.
            loss = loss + 0 * parameter.sum()
        return {"loss": loss}


def judge_together(
    step: Comparing, parts: Sequence[Representations]
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Judge all parts of a batch at once.

    Gradients of what ``judge`` itself trains, such as a temperature, are accumulated here.

    Args:
        step: The training step.
        parts: Representations of every part, without gradients.

    Returns:
        What ``judge`` answers, and for every part the gradients of its representations.
    """
    joint = {name: torch.cat([part[name] for part in parts]).detach() for name in parts[0]}
    watched = {name: values.requires_grad_() for name, values in joint.items() if _learns(values)}
    answer = step.judge(joint)
    torch.autograd.backward(answer["loss"])
    sizes = {name: [len(part[name]) for part in parts] for name in watched}
    split = {name: torch.split(_gradient(v), sizes[name]) for name, v in watched.items()}
    gradients = [{name: split[name][part] for name in split} for part in range(len(parts))]
    return answer, gradients


def surrogate(representations: Representations, gradients: Mapping[str, Tensor]) -> Tensor:
    """A scalar whose gradient is that of the whole batch's loss, as far as these rows made it."""
    products = [(representations[name] * gradients[name]).sum() for name in gradients]
    return torch.stack(products).sum()


def _learns(values: Tensor) -> bool:
    return values.is_floating_point()


def _gradient(values: Tensor) -> Tensor:
    return torch.zeros_like(values) if values.grad is None else values.grad
