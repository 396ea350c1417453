"""Masked reconstruction: hidden patches of a radiograph are predicted from the visible ones."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from data import ImageBatch, augment_images, collate_images
from data.base.seeds import fold_seed
from data.sources import open_images, settled
from gan.pictures.curves import draw_curves
from gan.pretrain.masks import patch_masks
from gan.pretrain.options import PretrainConfig
from gan.pretrain.reconstruction import (
    ReconstructionErrors,
    draw_reconstruction_grid,
    reconstruction_table,
)
from gan.run.checkpoint import load_best_weights
from gan.run.directory import RunDir
from gan.run.handover import Preprocessing, load_encoder, save_network
from gan.run.loaders import Loaders, choose_cases, open_loaders
from gan.run.loop import train
from gan.run.optim import channels_last, decay_groups, learning_rate, optimiser_step, set_learning_rate
from gan.run.plugins import encoder_option
from gan.run.progress import Terms
from gan.run.run import Run, parameter_count
from losses import masked_l1_loss
from networks import MaskedReconstructionModel

# Masks of validation and test belong to no epoch: they are the same every time.
_EVALUATION = -1


@dataclass
class PretrainState:
    """A model and its optimiser."""

    accelerator: Accelerator
    model: nn.Module
    optimizer: Optimizer
    clip_norm: float


def pretrain(config: PretrainConfig) -> Run:
    """Run the stage from the options to the final numbers.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = replace(config, data=settled(config.data))
    run = Run.start(config, "pretrain")
    state = build_state(run.accelerator, config)
    loaders = open_loaders(run.accelerator, config, open_images(config.data), collate_images)
    cases = choose_cases(loaders.splits["val"], config.grid_cases)
    stage = MaskedStage(config, state, loaders, cases, run.directory)
    size = parameter_count(run.accelerator.unwrap_model(state.model))
    run.begin(loaders, identity={}, news=f"{len(loaders.splits['train'])} training images; {size}")
    train(run, stage, loaders)
    stage.finish(run)
    run.accelerator.end_training()
    return run


def build_state(accelerator: Accelerator, config: PretrainConfig) -> PretrainState:
    """The model that pretraining trains, whose `encoder` is what is kept, and its optimiser."""
    torch.manual_seed(fold_seed("initialisation", config.seed))
    model: nn.Module = MaskedReconstructionModel(
        config=config.network, patch_size=config.mask.patch_size, **encoder_option(config)
    )
    model, optim = channels_last(model), config.optim
    optimizer = AdamW(decay_groups(model, optim.weight_decay), lr=optim.lr, betas=(0.9, 0.95), fused=True)
    model, optimizer = accelerator.prepare(model, optimizer)
    return PretrainState(accelerator, model, optimizer, optim.clip_norm)


def pretrain_step(state: PretrainState, batch: ImageBatch, mask: Tensor) -> Terms:
    """Reconstruct hidden patches from visible ones; only hidden pixels count."""
    accelerator = state.accelerator
    with accelerator.accumulate(state.model):
        reconstruction = state.model(batch.image, mask)
        loss = masked_l1_loss(reconstruction, batch.image, mask, batch.valid)
        accelerator.backward(loss)
        optimiser_step(accelerator, state.optimizer, state.model, state.clip_norm)
    return {"masked_l1": loss.detach()}


@dataclass(frozen=True)
class MaskedStage:
    """What the loop asks of masked reconstruction; see `gan.run.loop.Stage`."""

    config: PretrainConfig
    state: PretrainState
    loaders: Loaders
    cases: list[Any]
    directory: RunDir
    chooser = "mae"
    higher_is_better = False
    shown = ("masked_l1",)

    def step(self, batch: ImageBatch, epoch: int, step: int) -> Terms:
        """Augment, hide patches, reconstruct."""
        config, total = self.config, self.loaders.total_steps
        batch = augment_images(batch, config.data.augment, seed=config.seed, epoch=epoch)
        set_learning_rate(self.state.optimizer, config.optim.lr, config.optim, step=step, total=total)
        return pretrain_step(self.state, batch, self._masks(batch, epoch))

    def settings(self) -> dict[str, Any]:
        """The learning rate of the moment."""
        return {"lr": learning_rate(self.state.optimizer)}

    def evaluate(self, batches: Iterable[ImageBatch], *, baselines: bool = False) -> dict[str, Any]:
        """Mean absolute error of hidden pixels; with `baselines`, of the two simple fills as well."""
        errors = ReconstructionErrors()
        for batch in batches:
            mask = self._masks(batch, _EVALUATION)
            reconstruction = _reconstruct(self.state.model, batch.image, mask)
            valid = torch.ones_like(mask) if batch.valid is None else batch.valid.bool()
            image, reconstruction, mask, valid = self.state.accelerator.gather_for_metrics(
                (batch.image, reconstruction, mask, valid)
            )
            errors.add(
                image=image, reconstruction=reconstruction, mask=mask, valid=valid, baselines=baselines
            )
        return dict(errors.report())

    def draw(self, path: Path) -> None:
        """The sample grid."""
        accelerator = self.state.accelerator
        batch = collate_images(self.cases).to(accelerator.device)
        mask = self._masks(batch, _EVALUATION)
        reconstruction = _reconstruct(accelerator.unwrap_model(self.state.model), batch.image, mask)
        draw_reconstruction_grid(path, batch, mask, reconstruction)

    def export(self) -> None:
        """Save the encoder, and how it must be fed."""
        encoder = self.state.accelerator.unwrap_model(self.state.model).encoder
        preprocessing = Preprocessing.of(self.config.encoder, self.config.data)
        save_network(encoder, self.directory.encoder, preprocessing)

    def finish(self, run: Run) -> None:
        """Numbers of the best model, whose encoder was saved, on patients never trained on; loss curves."""
        load_best_weights(run.directory, run.accelerator.unwrap_model(self.state.model))
        errors = self.evaluate(run.log.watch(self.loaders.test), baselines=True)
        run.log.report_skipped()
        epoch = math.ceil(run.progress.step / self.loaders.steps_per_epoch)
        run.log.write(errors, step=run.progress.step, epoch=epoch, split="test")
        if run.accelerator.is_main_process:
            encoder = load_encoder(run.directory)  # read back what the next stage will get
            draw_curves(run.directory.curves, run.directory.metrics)
            run.log.say(
                f"\nmean absolute error of hidden patches, held-out patients\n{reconstruction_table(errors)}"
            )
            run.log.say(f"encoder ({parameter_count(encoder)}): {run.directory.encoder}")

    def _masks(self, batch: ImageBatch, epoch: int) -> Tensor:
        """The patches to hide from a batch in `epoch`."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        masks = patch_masks(batch.id, size, self.config.mask, seed=self.config.seed, epoch=epoch)
        return masks.to(batch.image.device)


@torch.no_grad()
def _reconstruct(model: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
    model.eval()
    reconstruction = model(image, mask)
    model.train()
    return reconstruction
