"""Masked reconstruction: hidden patches of a radiograph are predicted from the visible ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data import ImageBatch, augment_images, collate_images
from gan.pretrain.masks import patch_masks
from gan.pretrain.options import EVALUATION, PretrainConfig
from gan.pretrain.reconstruction import (
    ReconstructionErrors,
    draw_reconstruction_grid,
    reconstruction_table,
)
from gan.run.directory import RunDir
from gan.run.handover import Preprocessing, save_network
from gan.run.learner import Learner
from gan.run.loaders import Loaders
from gan.run.optim import learning_rate
from gan.run.plugins import encoder_option
from gan.run.progress import Terms
from losses import masked_l1_loss
from networks import MaskedReconstructionModel


def masked_step(
    learner: Learner, batches: Sequence[ImageBatch], masks: Callable[[ImageBatch], Tensor]
) -> Terms:
    """Reconstruct hidden patches from visible ones; only hidden pixels count."""
    hidden = [(batch, masks(batch)) for batch in batches]
    counts = [(mask if batch.valid is None else mask & batch.valid.bool()).sum() for batch, mask in hidden]

    def loss(masked: tuple[ImageBatch, Tensor]) -> Tensor:
        batch, mask = masked
        return masked_l1_loss(learner.model(batch.image, mask), batch.image, mask, batch.valid)

    return {"masked_l1": learner.descend(hidden, counts, loss)}


@dataclass(frozen=True)
class MaskedStage:
    """What the loop asks of masked reconstruction; see `gan.run.loop.Stage`."""

    config: PretrainConfig
    learner: Learner
    loaders: Loaders
    cases: list[Any]
    directory: RunDir
    chooser = "mae"
    higher_is_better = False
    shown = ("masked_l1",)

    @staticmethod
    def build_model(config: PretrainConfig) -> MaskedReconstructionModel:
        """The model that learns; its `encoder` is what is kept."""
        return MaskedReconstructionModel(
            config=config.network, patch_size=config.mask.patch_size, **encoder_option(config)
        )

    def step(self, batches: Sequence[ImageBatch], epoch: int, step: int) -> Terms:
        """Augment, hide patches, reconstruct."""
        augment, seed = self.config.data.augment, self.config.seed
        batches = [augment_images(batch, augment, seed=seed, epoch=epoch) for batch in batches]
        self.learner.set_rate(step, self.loaders.total_steps)
        return masked_step(self.learner, batches, lambda batch: self._masks(batch, epoch))

    def settings(self) -> dict[str, Any]:
        """The learning rate of the moment."""
        return {"lr": learning_rate(self.learner.optimizer)}

    def evaluate(self, batches: Iterable[ImageBatch], *, baselines: bool = False) -> dict[str, Any]:
        """Mean absolute error of hidden pixels; with `baselines`, of the two simple fills as well."""
        errors = ReconstructionErrors()
        for batch in batches:
            mask = self._masks(batch, EVALUATION)
            reconstruction = _reconstruct(self.learner.model, batch.image, mask)
            valid = torch.ones_like(mask) if batch.valid is None else batch.valid.bool()
            image, reconstruction, mask, valid = self.learner.accelerator.gather_for_metrics(
                (batch.image, reconstruction, mask, valid)
            )
            errors.add(
                image=image, reconstruction=reconstruction, mask=mask, valid=valid, baselines=baselines
            )
        return dict(errors.report())

    def draw(self, path: Path) -> None:
        """The sample grid."""
        batch = collate_images(self.cases).to(self.learner.accelerator.device)
        mask = self._masks(batch, EVALUATION)
        reconstruction = _reconstruct(self.learner.network, batch.image, mask)
        draw_reconstruction_grid(path, batch, mask, reconstruction)

    def export(self) -> None:
        """Save the encoder, and how it must be fed."""
        preprocessing = Preprocessing.of(self.config.encoder, self.config.data)
        save_network(self.learner.network.encoder, self.directory.encoder, preprocessing)

    def test(self, batches: Iterable[ImageBatch]) -> dict[str, Any]:
        """Numbers of the best model beside those of two simple fills."""
        return self.evaluate(batches, baselines=True)

    def final_words(self, numbers: Mapping[str, Any]) -> str:
        """What `test` found, for a terminal."""
        return f"mean absolute error of hidden patches, held-out patients\n{reconstruction_table(numbers)}"

    def _masks(self, batch: ImageBatch, epoch: int) -> Tensor:
        """The patches to hide from a batch in `epoch`."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        masks = patch_masks(batch.keys, size, self.config.mask, seed=self.config.seed, epoch=epoch)
        return masks.to(batch.image.device)


@torch.no_grad()
def _reconstruct(model: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
    model.eval()
    reconstruction = model(image, mask)
    model.train()
    return reconstruction
