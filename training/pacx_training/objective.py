"""What stage 2 minimises: symmetric InfoNCE and cosine regression towards frozen teachers.

``L = lambda_C * mean over modalities of InfoNCE + lambda_R * mean over modalities of
(1 - cosine)`` (paper, section on cross-modal distillation). All ranks' films are gathered first,
so that the loss is that of the whole batch, with its own sums and counts, however modalities are
missing and wherever a film was processed.
"""

from __future__ import annotations

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from torch.nn import functional

EPS = 1e-6


def contrastive_loss(
    first: Tensor,
    second: Tensor,
    present: Tensor,
    patients: Tensor,
    *,
    scale: Tensor,
    smoothing: float,
) -> Tensor:
    """Symmetric InfoNCE over the rows where both views are there.

    Args:
        first: ``[N, D]``, one view of every row; normalised here.
        second: ``[N, D]``, the other.
        present: bool ``[N]``; other rows are neither queries nor candidates.
        patients: int64 ``[N]``; rows of one patient are no negatives of each other.
        scale: Inverse temperature, a scalar.
        smoothing: Share of the target that is spread over all candidates of a query.

    Returns:
        The mean over present rows and both directions; 0 where none is present.
    """
    with torch.autocast(first.device.type, enabled=False):
        ours, theirs = (functional.normalize(x.float(), dim=-1, eps=EPS) for x in (first, second))
        logits = scale.float() * ours @ theirs.T
    itself = torch.eye(len(patients), dtype=torch.bool, device=patients.device)
    strangers = patients[:, None] != patients[None, :]
    candidates = (strangers & present[None, :]) | itself
    rows = _cross_entropies(logits, candidates, smoothing)
    rows = rows + _cross_entropies(logits.T, candidates, smoothing)
    return masked_mean(rows / 2, present)


def _cross_entropies(logits: Tensor, candidates: Tensor, smoothing: float) -> Tensor:
    """Smoothed cross entropy ``[N]`` with the diagonal as the target, among candidates only."""
    log_likelihood = logits.masked_fill(~candidates, -torch.inf).log_softmax(dim=1)
    spread = log_likelihood.masked_fill(~candidates, 0.0).sum(1) / candidates.sum(1)
    return -(1 - smoothing) * log_likelihood.diagonal() - smoothing * spread


def cosine_distances(predicted: Tensor, target: Tensor) -> Tensor:
    """``1 - cosine`` of every row of ``[N, D]``; the target gets no gradient."""
    similarity = functional.cosine_similarity(
        predicted.float(), target.detach().float(), dim=-1, eps=EPS
    )
    return 1 - similarity


def masked_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of ``values`` ``[N]`` where present; 0 where nothing is."""
    weight = present.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1)


def mean_of_present(losses: list[Tensor], presents: list[Tensor]) -> Tensor:
    """Mean over modalities, of those that some row of the batch has."""
    weights = torch.stack([present.any().to(losses[0].dtype) for present in presents])
    return (torch.stack(losses) * weights).sum() / weights.sum().clamp(min=1)


def gathered(tensor: Tensor) -> Tensor:
    """Rows ``[N, ...]`` of all ranks as ``[ranks * N, ...]``, with gradients to every one.

    Every rank must hold the same number of rows. Each then computes the loss of the whole batch,
    so that a row's gradient, summed over ranks, comes out ``ranks`` times too large; averaging
    gradients over ranks, as data parallelism does, sets it right, and leaves parameters of the
    loss itself (the temperature) as they should be. With one process this is the identity.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    return torch.cat(all_gather(tensor.contiguous()))  # type: ignore[no-untyped-call]
