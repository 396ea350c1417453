"""Contrastive learning: two differently augmented views of a radiograph are found among those of others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from data import ImageBatch, augment_images, collate_images
from data.base.errors import UserError
from data.base.seeds import fold_seed
from gan.pretrain.options import EVALUATION, PretrainConfig
from gan.pretrain.retrieval import draw_retrieval_grid, recall, retrieval_table
from gan.run.directory import RunDir
from gan.run.handover import Preprocessing, save_network
from gan.run.learner import Learner
from gan.run.loaders import Loaders
from gan.run.optim import learning_rate
from gan.run.plugins import encoder_option
from gan.run.progress import Terms
from losses import contrastive_loss
from networks import ContrastiveEncoder

Views = tuple[ImageBatch, ImageBatch]


def contrast(learner: Learner, views: Views, groups: Tensor, temperature: float) -> Tensor:
    """The loss of both views in one batch; those of all processes are told apart.

    Every process computes the whole loss, but only its own rows carry gradients.
    """
    accelerator = learner.accelerator
    rows = learner.model(torch.cat([view.image for view in views]))
    counted, groups = torch.cat([view.counted for view in views]), torch.cat([groups, groups])
    if accelerator.num_processes > 1:  # which may have one image more or less than others
        rows, counted, groups = map(accelerator.pad_across_processes, (rows, counted.long(), groups))
        counted, groups = accelerator.gather(counted).bool(), accelerator.gather(groups)
        rows = _gather_rows(accelerator, rows)
    return contrastive_loss(rows[counted], groups[counted], temperature)


def _gather_rows(accelerator: Accelerator, rows: Tensor) -> Tensor:
    """The rows of all processes; only those of this one carry a gradient."""
    everyone = accelerator.gather(rows.detach())
    start = accelerator.process_index * len(rows)
    return torch.cat([everyone[:start], rows, everyone[start + len(rows) :]])


@dataclass(frozen=True)
class ContrastiveStage:
    """What the loop asks of contrastive learning; see `gan.run.loop.Stage`."""

    config: PretrainConfig
    learner: Learner
    loaders: Loaders
    cases: list[Any]
    directory: RunDir
    chooser = "contrastive"
    higher_is_better = False
    shown = ("contrastive",)

    def __post_init__(self) -> None:
        if self.cases:  # so that a column which is not there is said before anything is written
            self._groups(collate_images(self.cases))

    @staticmethod
    def build_model(config: PretrainConfig) -> ContrastiveEncoder:
        """The model that learns; its `encoder` is what is kept."""
        dim = config.contrast.embedding
        return ContrastiveEncoder(embedding_dim=dim, config=config.network, **encoder_option(config))

    def step(self, batches: Sequence[ImageBatch], epoch: int, step: int) -> Terms:
        """Two views of every image, told apart from those of the others in its batch."""
        temperature, processes = self.config.contrast.temperature, self.learner.accelerator.num_processes
        self.learner.set_rate(step, self.loaders.total_steps)

        def loss(batch: ImageBatch) -> Tensor:
            # Gradients are averaged over the processes, and each has only its own part of them.
            return processes * contrast(
                self.learner, self._views(batch, epoch), self._groups(batch), temperature
            )

        # Every process computes the loss of the batches of all.
        counts = self.learner.accelerator.reduce(
            torch.stack([batch.counted.sum() for batch in batches]).float(), reduction="mean"
        )
        return {"contrastive": self.learner.descend(batches, counts.unbind(), loss) / processes}

    def settings(self) -> dict[str, Any]:
        """The learning rate of the moment."""
        return {"lr": learning_rate(self.learner.optimizer)}

    def evaluate(self, batches: Iterable[ImageBatch]) -> dict[str, Any]:
        """The loss, batch by batch, and how often the other view is found among all images."""
        return self._judge(self.learner.network, batches)[0]

    def draw(self, path: Path) -> None:
        """The sample grid."""
        batch = collate_images(self.cases).to(self.learner.accelerator.device)
        views = self._views(batch, EVALUATION)
        features = [_features(self.learner.network, view)[0] for view in views]
        draw_retrieval_grid(path, batch, views, *features)

    def export(self) -> None:
        """Save the encoder, and how it must be fed."""
        preprocessing = Preprocessing.of(self.config.encoder, self.config.data)
        save_network(self.learner.network.encoder, self.directory.encoder, preprocessing)

    def test(self, batches: Iterable[ImageBatch]) -> dict[str, Any]:
        """Recall of the best model and of the untrained one it began as."""
        numbers, images = self._judge(self.learner.network, batches)
        torch.manual_seed(fold_seed("initialisation", self.config.seed))
        fresh = self.build_model(self.config).to(self.learner.accelerator.device)
        untrained, _ = self._judge(fresh, batches)
        return {**numbers, "images": images, "untrained": untrained}

    def final_words(self, numbers: Mapping[str, Any]) -> str:
        """What `test` found, for a terminal."""
        found = {name: value for name, value in numbers.items() if "recall" in name}
        table = retrieval_table(found, numbers["untrained"], numbers["images"])
        return f"recall of the other view among {numbers['images']} images of held-out patients\n{table}"

    @torch.no_grad()
    def _judge(self, model: Any, batches: Iterable[ImageBatch]) -> tuple[dict[str, float], int]:
        """Numbers of a model on a split from all processes, and how many images it has."""
        accelerator, temperature = self.learner.accelerator, self.config.contrast.temperature
        losses, first, second = [], [], []
        for batch in batches:
            pairs = [_features(model, view) for view in self._views(batch, EVALUATION)]
            (one, embedded_one), (two, embedded_two) = pairs
            one, two, embedded_one, embedded_two, groups, counts = accelerator.gather_for_metrics(
                (one, two, embedded_one, embedded_two, self._groups(batch), batch.counted)
            )
            embeddings = torch.cat([embedded_one[counts], embedded_two[counts]])
            losses.append(contrastive_loss(embeddings, groups[counts].repeat(2), temperature))
            first.append(one[counts].cpu())
            second.append(two[counts].cpu())
        numbers = {"contrastive": torch.stack(losses).mean().item()}
        return {**numbers, **recall(torch.cat(first), torch.cat(second))}, sum(map(len, first))

    def _views(self, batch: ImageBatch, epoch: int) -> Views:
        augment, seed = self.config.data.augment, self.config.seed
        one, two = (
            augment_images(batch, augment, seed=fold_seed("view", seed, number), epoch=epoch)
            for number in (0, 1)
        )
        return one, two

    def _groups(self, batch: ImageBatch) -> Tensor:
        """A number for every image, equal for those that belong together."""
        together = self.config.contrast.together
        if together == "image":
            names = batch.id
        elif together == "patient":
            names = batch.patient_id
        else:
            names = [columns.get(together, "") for columns in batch.columns]
            if not all(names):
                raise UserError(
                    f"--contrast.together {together}: the data has no such column for "
                    f"{batch.id[names.index('')]}; name a column of the manifest, patient, or image"
                )
        numbers = [fold_seed("group", name) for name in names]
        return torch.tensor(numbers, device=batch.image.device)


@torch.no_grad()
def _features(model: Any, view: ImageBatch) -> tuple[Tensor, Tensor]:
    """What the encoder makes of the images, pooled `[B, C]`, and their embeddings `[B, D]`."""
    training = model.training
    model.eval()
    pooled = model.pooled(view.image)
    embeddings = model.embed(pooled)
    model.train(training)
    return pooled, embeddings
