"""Networks and optimisers of a stage, put on the devices together."""

from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gan.config import AdversarialConfig, PretrainConfig
from gan.optim import discriminator_optimizer, generator_optimizer, pretrain_optimizer
from gan.state import AdversarialState, Objective, PretrainState

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def pretrain_state(accelerator: Accelerator, config: PretrainConfig, model: nn.Module) -> PretrainState:
    """The state of `gan.steps.pretrain_step`."""
    model = channels_last(model)
    model, optimizer = accelerator.prepare(model, pretrain_optimizer(model, config.optim))
    return PretrainState(accelerator, model, optimizer, config.optim.clip_norm)


def adversarial_state(
    accelerator: Accelerator,
    config: AdversarialConfig,
    generator: nn.Module,
    discriminator: nn.Module,
    objective: Objective,
) -> AdversarialState:
    """The state of `gan.steps.adversarial_step`; the average starts as a copy of the generator."""
    generator, discriminator = channels_last(generator), channels_last(discriminator)
    ema = AveragedModel(generator, use_buffers=True).to(accelerator.device).eval()
    generator, discriminator, optimizer_generator, optimizer_discriminator = accelerator.prepare(
        generator,
        discriminator,
        generator_optimizer(generator, config.optim),
        discriminator_optimizer(discriminator, config.optim),
    )
    return AdversarialState(
        accelerator=accelerator,
        generator=generator,
        discriminator=discriminator,
        ema=ema,
        optimizer_generator=optimizer_generator,
        optimizer_discriminator=optimizer_discriminator,
        objective=objective,
        clip_norm=config.optim.clip_norm,
    )


def channels_last(model: ModuleT) -> ModuleT:
    """The same network with its kernels laid out for convolutions over `[B, H, W, C]` memory.

    The numbers stay what they are; a step of the tiny preset takes about half the time on a CPU.
    """
    return model.to(memory_format=torch.channels_last)
