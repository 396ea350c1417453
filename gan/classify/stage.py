"""The classification stage: put together, run, and judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from data import ImageBatch, augment_images, collate_images
from data.base.errors import UserError
from data.base.seeds import fold_seed
from data.sources import open_images, settled
from gan.classify.measures import draw_label_grid, known_bce, label_report, label_table
from gan.classify.options import ClassifyConfig
from gan.pictures.curves import draw_curves
from gan.run.directory import RunDir
from gan.run.handover import (
    ANY,
    Preprocessing,
    load_encoder,
    load_network,
    save_network,
    transfer_encoder,
)
from gan.run.judge import judge_sources, say_sources
from gan.run.learner import Learner
from gan.run.loaders import Loaders, choose_cases, open_loaders
from gan.run.loop import train
from gan.run.optim import learning_rate
from gan.run.plugins import encoder_option
from gan.run.processes import share_steps
from gan.run.progress import Terms
from gan.run.run import Run, parameter_count
from networks import ClassificationModel


def classify(config: ClassifyConfig, pretrained: RunDir | None) -> Run:
    """Run the stage from the options to the final numbers.

    Args:
        config: the options.
        pretrained: the pretraining run whose encoder the classifier starts from; None for a fresh one.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = share_steps(replace(config, data=settled(config.data)))
    with Run.start(config, "classify") as run:
        return _classify(run, config, pretrained)


def _classify(run: Run, config: ClassifyConfig, pretrained: RunDir | None) -> Run:
    loaders = open_loaders(run.accelerator, config, open_images, collate_images)
    labels = loaders.splits["train"].labels
    if not labels:
        raise UserError("--data.labels names no label column of the manifest to learn; name at least one")
    encoder = None if pretrained is None else load_encoder(pretrained, config.encoder)
    model = build_model(config, labels, encoder)
    learner = Learner.prepare(run.accelerator, model, config.optim)
    cases = choose_cases(loaders.splits["val"], config.grid_cases)
    stage = ClassifyStage(config, learner, loaders, cases, run.directory, labels)
    identity = {"--frozen": config.frozen, "the labels": list(labels)}
    run.begin(loaders, identity=identity, news=stage.introduction(), pretrained=pretrained)
    train(run, stage, loaders)

    # Of the saved classifier, on patients never trained on.
    run.accelerator.wait_for_everyone()
    classifier = load_network(run.directory.classifier, trusted=ANY)[0].to(run.accelerator.device)
    report = judge_sources(lambda batches: stage.report(classifier, batches), loaders.test, run.log)
    run.write_test(report, loaders)
    if run.accelerator.is_main_process:
        draw_curves(run.directory.curves, run.directory.metrics)
        say_sources(
            run.log,
            report,
            lambda found: f"{found['images']} images of held-out patients\n{label_table(found)}",
        )
        run.log.say(f"classifier: {run.directory.classifier}")
    run.accelerator.end_training()
    return run


def build_model(
    config: ClassifyConfig, labels: tuple[str, ...], encoder: nn.Module | None
) -> ClassificationModel:
    """A classifier with a pretrained encoder or a fresh one, which learns or, frozen, does not."""
    torch.manual_seed(fold_seed("initialisation", config.seed))
    model = ClassificationModel(
        labels_num=len(labels),
        labels=labels,
        config=config.network,
        standardize=config.frozen,
        **encoder_option(config),
    )
    if encoder is not None:
        transfer_encoder(encoder, model, config.pretrained)
    if config.frozen:
        model.encoder.requires_grad_(False)
    return model


@dataclass(frozen=True)
class ClassifyStage:
    """What the loop asks of classification; see `gan.run.loop.Stage`."""

    config: ClassifyConfig
    learner: Learner
    loaders: Loaders
    cases: list[Any]
    directory: RunDir
    labels: tuple[str, ...]
    chooser = "auroc"
    higher_is_better = True
    shown = ("bce",)

    def step(self, batches: Sequence[ImageBatch], epoch: int, step: int) -> Terms:
        """Augment, then learn the labels that are known."""
        augment, seed = self.config.data.augment, self.config.seed
        batches = [augment_images(batch, augment, seed=seed, epoch=epoch) for batch in batches]
        self.learner.set_rate(step, self.loaders.total_steps)
        if self.config.frozen:  # nor may statistics of a normalisation move, or dropout hide anything
            cast(ClassificationModel, self.learner.network).encoder.eval()

        def loss(batch: ImageBatch) -> Tensor:
            assert batch.labels is not None
            return known_bce(self.learner.model(batch.image), batch.labels)

        known = [(~cast(Tensor, batch.labels).isnan()).sum() for batch in batches]
        return {"bce": self.learner.descend(batches, known, loss)}

    def settings(self) -> dict[str, Any]:
        """The learning rate of the moment."""
        return {"lr": learning_rate(self.learner.optimizer)}

    def evaluate(self, batches: Iterable[ImageBatch]) -> dict[str, Any]:
        """Mean AUROC over the labels."""
        return {"auroc": self.report(self.learner.network, batches)["auroc"]}

    def report(self, model: nn.Module, batches: Iterable[ImageBatch]) -> dict[str, Any]:
        """AUROC of every label on a split, from all processes."""
        accelerator = self.learner.accelerator
        logits, labels = [], []
        for batch in batches:
            found, truth, counts = accelerator.gather_for_metrics(
                (_logits(model, batch.image), batch.labels, batch.counted)
            )
            logits.append(found[counts].cpu())
            labels.append(truth[counts].cpu())
        return label_report(self.labels, torch.cat(logits), torch.cat(labels))

    def draw(self, path: Path) -> None:
        """The sample grid."""
        batch = collate_images(self.cases).to(self.learner.accelerator.device)
        probabilities = _logits(self.learner.network, batch.image).sigmoid()
        draw_label_grid(path, batch, self.labels, probabilities)

    def export(self) -> None:
        """Save the classifier, and how it must be fed."""
        preprocessing = Preprocessing.of("networks:ClassificationModel", self.config.data)
        save_network(self.learner.network, self.directory.classifier, preprocessing)

    def introduction(self) -> str:
        """Where the encoder comes from, how much data there is, and how large the network is."""
        origin = "fresh" if self.config.pretrained == "none" else f"from {self.config.pretrained}"
        frozen = ", frozen" if self.config.frozen else ""
        return (
            f"encoder: {origin}{frozen}\n{len(self.loaders.splits['train'])} training images; "
            f"labels: {', '.join(self.labels)}; {parameter_count(self.learner.network)}"
        )


@torch.no_grad()
def _logits(model: nn.Module, image: Tensor) -> Tensor:
    training = model.training
    model.eval()
    logits: Tensor = model(image).float()
    model.train(training)
    return logits
