"""Contrast of embeddings: those that belong together against all others."""

import torch
from torch import Tensor


def contrastive_loss(embeddings: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Mean over rows of minus the log-probability of choosing a row of the same group among all others.

    With two views an image and an image a group this is NT-Xent; with larger groups every further member is
    one more positive. Rows that are alone in their group are no anchors, but others are told apart from them.

    Args:
        embeddings: `[N, D]`, each row of length 1.
        groups: `[N]`; rows with equal numbers belong together.
        temperature: what cosines are divided by.

    Returns:
        Scalar, at least float32; 0 where no row has a partner.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, eq. 1;
    Khosla et al., "Supervised Contrastive Learning", 2020, eq. 2.
    """
    dtype = torch.promote_types(embeddings.dtype, torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        similarity = embeddings.to(dtype) @ embeddings.to(dtype).T / temperature
        itself = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        log_probability = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
        positive = (groups[:, None] == groups[None]) & ~itself
        partners = positive.sum(1)
        anchors = partners > 0
        per_anchor = torch.where(positive, -log_probability, 0).sum(1) / partners.clamp(min=1)
        return per_anchor.sum() / anchors.sum().clamp(min=1)
