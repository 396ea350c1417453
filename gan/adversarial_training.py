"""The adversarial stage: data, networks, objective and optimisers put together, run, and judged."""

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data import PairBatch, augment_pairs, build_pairs, collate_pairs
from data.base.errors import UserError
from data.base.seeds import fold_seed
from gan.assemble import adversarial_state, channels_last
from gan.config import AdversarialConfig
from gan.logs import RunLog
from gan.loop import Stage, steps_per_epoch, total_steps, train, train_loader
from gan.metrics import ChangeMaps, change_table
from gan.models import (
    build_discriminator,
    build_generator,
    load_encoder,
    load_generator,
    save_network,
    transfer_encoder,
    weights_digest,
)
from gan.objective import build_objective
from gan.optim import learning_rate, set_learning_rate
from gan.rundir import RunDir
from gan.schedules import ema_decay
from gan.start import (
    build_splits,
    choose_cases,
    eval_loader,
    open_run,
    parameter_count,
    run_identity,
    settle_data,
    start_run,
)
from gan.state import AdversarialState, Progress, Terms
from gan.steps import adversarial_step, ema_update, set_trainable
from gan.visualise import draw_change_grid, draw_curves


def train_adversarially(config: AdversarialConfig, pretrained: RunDir | None) -> RunDir:
    """Run the stage from the options to the final numbers; returns where everything lies.

    Args:
        config: the options.
        pretrained: the pretraining run whose encoder the generator starts from; None for a fresh one.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = settle_data(config)
    accelerator, run = start_run(
        config, "adversarial", find_unused_parameters=config.freeze_encoder_epochs > 0
    )
    torch.manual_seed(fold_seed("initialisation", config.seed))
    generator, discriminator = build_generator(config), build_discriminator(config)
    encoder, news = None, "encoder: fresh"
    if pretrained is not None:
        encoder = channels_last(load_encoder(pretrained))
        tensors = transfer_encoder(encoder, generator, pretrained)
        news = f"encoder: all {tensors} tensors from {pretrained.path}"
    if config.freeze_encoder_epochs and not hasattr(generator, "encoder"):
        raise UserError("--freeze-encoder-epochs: this generator has no attribute encoder to freeze")

    objective = build_objective(config, encoder, accelerator.device)
    splits = build_splits(config, build_pairs)
    state = adversarial_state(accelerator, config, generator, discriminator, objective)
    loader, order = train_loader(accelerator, splits["train"], collate_pairs, config)
    val_loader, test_loader = accelerator.prepare(
        eval_loader(splits["val"], collate_pairs, config),
        eval_loader(splits["test"], collate_pairs, config),
    )
    progress = Progress(identity=run_identity(config, loader, splits))
    if pretrained is not None:
        progress.identity["the encoder in --pretrained"] = weights_digest(pretrained)
    log = open_run(accelerator, config, run, splits, progress, ema=state.ema)
    log.say(news)
    log.say(
        f"{len(splits['train'])} training pairs; generator {parameter_count(generator)}, "
        f"discriminator {parameter_count(discriminator)}"
    )
    cases = choose_cases(splits["val"], config.grid_cases)
    stage = _stage(config, state, val_loader, cases, run, log, total_steps(loader, config))
    train(accelerator, config, run, log, loader, order, progress, stage)
    epoch = math.ceil(progress.step / steps_per_epoch(loader, config))
    _finish(config, state, test_loader, run, log, step=progress.step, epoch=epoch)
    accelerator.end_training()
    return run


def _stage(
    config: AdversarialConfig,
    state: AdversarialState,
    val_loader: DataLoader[Any],
    cases: list[Any],
    run: RunDir,
    log: RunLog,
    total: int,
) -> Stage:
    accelerator = state.accelerator
    average = state.ema.module
    encoder = getattr(accelerator.unwrap_model(state.generator), "encoder", None)
    encoder_parameters = [p for p in encoder.parameters() if p.requires_grad] if encoder is not None else []

    def step(batch: PairBatch, epoch: int, step: int) -> Terms:
        batch = augment_pairs(
            batch, config.data.augment, change=config.data.change, seed=config.seed, epoch=epoch
        )
        set_rate = partial(set_learning_rate, config=config.optim, step=step, total=total)
        set_rate(state.optimizer_generator, config.optim.lr_generator)
        set_rate(state.optimizer_discriminator, config.optim.lr_discriminator)
        if config.freeze_encoder_epochs:
            set_trainable(encoder_parameters, epoch >= config.freeze_encoder_epochs)
        playing = config.weights.adversarial > 0 and epoch >= config.adversarial_start
        terms = adversarial_step(state, batch, adversarial=playing)
        if accelerator.sync_gradients:
            ema_update(state, ema_decay(step, decay=config.ema_decay))
        return terms

    def draw(path: Path) -> None:
        batch = collate_pairs(cases).to(accelerator.device)
        assert batch.target is not None
        prediction = predict(accelerator, average, batch)
        draw_change_grid(
            path,
            labels=batch.id,
            baseline=batch.baseline,
            followup=batch.followup,
            target=batch.target,
            prediction=prediction,
            logits=judge(accelerator.unwrap_model(state.discriminator), batch, prediction),
            signed=config.data.change == "signed",
        )

    return Stage(
        step=step,
        validate=lambda: dict(evaluate(accelerator, average, log.watch(val_loader), config).summary()),
        chooser="average_precision",
        higher_is_better=True,
        draw=draw,
        keep=lambda: save_network(average, run.generator),
        shown=("l1", "adversarial", "discriminator"),
        settings=lambda: {
            "weights": dict(state.objective.weights),
            "lr_generator": learning_rate(state.optimizer_generator),
            "lr_discriminator": learning_rate(state.optimizer_discriminator),
        },
        ema=state.ema,
    )


@torch.no_grad()
def predict(accelerator: Accelerator, generator: nn.Module, batch: PairBatch) -> Tensor:
    """The change map of a generator in eval mode, computed in the run's precision, float32."""
    with accelerator.autocast():
        change = generator(batch.baseline, batch.followup)
    return change.float()


@torch.no_grad()
def judge(discriminator: nn.Module, batch: PairBatch, prediction: Tensor) -> Tensor:
    """D's logit map (of the finest scale) for a prediction; D is left as it was.

    In eval mode, since spectral norm moves its vectors with every pass in training mode.
    """
    discriminator.eval()
    logits = discriminator(batch.baseline, batch.followup, prediction)
    discriminator.train()
    return logits if isinstance(logits, Tensor) else logits[0]


def evaluate(
    accelerator: Accelerator, generator: nn.Module, batches: Iterable[PairBatch], config: AdversarialConfig
) -> ChangeMaps:
    """The change maps of a split, from all processes."""
    maps = ChangeMaps(signed=config.data.change == "signed")
    for batch in batches:
        assert batch.target is not None
        prediction = predict(accelerator, generator, batch)
        valid = torch.ones_like(batch.target) if batch.valid is None else batch.valid
        prediction, target, difference, valid = accelerator.gather_for_metrics(
            (prediction, batch.target, batch.followup - batch.baseline, valid)
        )
        findings = accelerator.gather_for_metrics(batch.findings, use_gather_object=True)
        maps.add(prediction=prediction, target=target, difference=difference, valid=valid, findings=findings)
    return maps


def _finish(
    config: AdversarialConfig,
    state: AdversarialState,
    test_loader: DataLoader[Any],
    run: RunDir,
    log: RunLog,
    *,
    step: int,
    epoch: int,
) -> None:
    """Numbers of the saved generator on patients never trained on, and the loss curves."""
    state.accelerator.wait_for_everyone()
    generator = load_generator(run, config).to(state.accelerator.device)
    report = evaluate(state.accelerator, generator, log.watch(test_loader), config).report()
    log.report_skipped()
    log.write(report, step=step, epoch=epoch, split="test")
    if state.accelerator.is_main_process:
        draw_curves(run.path / "curves.png", run.metrics)
        log.say(
            f"\n{report['pairs']} pairs of held-out patients, {report['changed']:.1%} of the pixels changed"
        )
        log.say(change_table(report))
        log.say(f"generator: {run.generator}")
