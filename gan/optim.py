"""Optimisers and their learning rates."""

from typing import Any

from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from gan.config import AdversarialOptimConfig, PretrainOptimConfig
from gan.schedules import learning_rate_factor


def pretrain_optimizer(model: nn.Module, config: PretrainOptimConfig) -> AdamW:
    """AdamW for masked reconstruction."""
    return AdamW(decay_groups(model, config.weight_decay), lr=config.lr, betas=(0.9, 0.95), fused=True)


def generator_optimizer(generator: nn.Module, config: AdversarialOptimConfig) -> AdamW:
    """AdamW for the generator."""
    betas = (config.beta1_generator, 0.999)
    return AdamW(
        decay_groups(generator, config.weight_decay), lr=config.lr_generator, betas=betas, fused=True
    )


def discriminator_optimizer(discriminator: nn.Module, config: AdversarialOptimConfig) -> Adam:
    """Adam for the discriminator."""
    betas = (config.beta1_discriminator, 0.999)
    return Adam(discriminator.parameters(), lr=config.lr_discriminator, betas=betas, fused=True)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases, norms and other vectors."""
    parameters = list(model.parameters())
    return [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def set_learning_rate(
    optimizer: Optimizer,
    peak: float,
    config: AdversarialOptimConfig | PretrainOptimConfig,
    *,
    step: int,
    total: int,
) -> None:
    """The learning rate of optimiser step `step` of `total`."""
    factor = learning_rate_factor(step, total=total, warmup=config.warmup_steps, schedule=config.schedule)
    for group in optimizer.param_groups:
        group["lr"] = peak * factor


def learning_rate(optimizer: Optimizer) -> float:
    """The learning rate of the step just made."""
    rate: float = optimizer.param_groups[0]["lr"]
    return rate
