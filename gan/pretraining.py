"""The pretraining stage: data, model and optimiser put together, run, and judged."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data import ImageBatch, augment_images, build_images, collate_images
from data.base.seeds import fold_seed
from gan.assemble import pretrain_state
from gan.checkpoint import load_best_weights
from gan.config import PretrainConfig
from gan.logs import RunLog
from gan.loop import Stage, steps_per_epoch, total_steps, train, train_loader
from gan.masking import patch_masks
from gan.metrics import ReconstructionErrors, reconstruction_table
from gan.models import build_reconstruction, load_encoder, save_network
from gan.optim import learning_rate, set_learning_rate
from gan.rundir import RunDir
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
from gan.state import PretrainState, Progress, Terms
from gan.steps import pretrain_step
from gan.visualise import draw_curves, draw_reconstruction_grid

# Masks of validation and test belong to no epoch: they are the same every time.
_EVALUATION = -1


def pretrain(config: PretrainConfig) -> RunDir:
    """Run the stage from the options to the final numbers; returns where everything lies.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = settle_data(config)
    accelerator, run = start_run(config, "pretrain")
    splits = build_splits(config, build_images)
    torch.manual_seed(fold_seed("initialisation", config.seed))
    model = build_reconstruction(config)
    state = pretrain_state(accelerator, config, model)
    loader, order = train_loader(accelerator, splits["train"], collate_images, config)
    val_loader, test_loader = accelerator.prepare(
        eval_loader(splits["val"], collate_images, config),
        eval_loader(splits["test"], collate_images, config),
    )
    progress = Progress(identity=run_identity(config, loader, splits))
    log = open_run(accelerator, config, run, splits, progress)
    log.say(f"{len(splits['train'])} training images; {parameter_count(model)}")
    stage = _stage(
        config,
        state,
        val_loader,
        choose_cases(splits["val"], config.grid_cases),
        run,
        log,
        total_steps(loader, config),
    )
    train(accelerator, config, run, log, loader, order, progress, stage)
    epoch = math.ceil(progress.step / steps_per_epoch(loader, config))
    _finish(config, state, test_loader, run, log, step=progress.step, epoch=epoch)
    accelerator.end_training()
    return run


def _stage(
    config: PretrainConfig,
    state: PretrainState,
    val_loader: DataLoader[Any],
    cases: list[Any],
    run: RunDir,
    log: RunLog,
    total: int,
) -> Stage:
    accelerator = state.accelerator

    def step(batch: ImageBatch, epoch: int, step: int) -> Terms:
        batch = augment_images(batch, config.data.augment, seed=config.seed, epoch=epoch)
        set_learning_rate(state.optimizer, config.optim.lr, config.optim, step=step, total=total)
        return pretrain_step(state, batch, masks(batch, config, epoch))

    def draw(path: Path) -> None:
        batch = collate_images(cases).to(accelerator.device)
        mask = masks(batch, config, _EVALUATION)
        reconstruction = _reconstruct(accelerator.unwrap_model(state.model), batch.image, mask)
        draw_reconstruction_grid(
            path, labels=batch.id, image=batch.image, mask=mask, reconstruction=reconstruction
        )

    return Stage(
        step=step,
        validate=lambda: evaluate(accelerator, state.model, log.watch(val_loader), config, baselines=False),
        chooser="mae",
        higher_is_better=False,
        draw=draw,
        keep=lambda: save_network(accelerator.unwrap_model(state.model).encoder, run.encoder),
        shown=("masked_l1",),
        settings=lambda: {"lr": learning_rate(state.optimizer)},
    )


def masks(batch: ImageBatch, config: PretrainConfig, epoch: int) -> Tensor:
    """The patches to hide from a batch in `epoch`."""
    size = (batch.image.shape[-2], batch.image.shape[-1])
    return patch_masks(batch.id, size, config.mask, seed=config.seed, epoch=epoch).to(batch.image.device)


def evaluate(
    accelerator: Accelerator,
    model: nn.Module,
    batches: Iterable[ImageBatch],
    config: PretrainConfig,
    *,
    baselines: bool,
) -> dict[str, float]:
    """Mean absolute error of hidden pixels on a split; with `baselines`, of the two simple fills as well."""
    errors = ReconstructionErrors()
    for batch in batches:
        mask = masks(batch, config, _EVALUATION)
        reconstruction = _reconstruct(model, batch.image, mask)
        valid = torch.ones_like(mask) if batch.valid is None else batch.valid.bool()
        image, reconstruction, mask, valid = accelerator.gather_for_metrics(
            (batch.image, reconstruction, mask, valid)
        )
        errors.add(image=image, reconstruction=reconstruction, mask=mask, valid=valid, baselines=baselines)
    return errors.report()


@torch.no_grad()
def _reconstruct(model: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
    model.eval()
    reconstruction = model(image, mask)
    model.train()
    return reconstruction


def _finish(
    config: PretrainConfig,
    state: PretrainState,
    test_loader: DataLoader[Any],
    run: RunDir,
    log: RunLog,
    *,
    step: int,
    epoch: int,
) -> None:
    """Numbers of the best model, whose encoder was saved, on patients never trained on; loss curves."""
    load_best_weights(run, state.accelerator.unwrap_model(state.model))
    errors = evaluate(state.accelerator, state.model, log.watch(test_loader), config, baselines=True)
    log.report_skipped()
    log.write(errors, step=step, epoch=epoch, split="test")
    if state.accelerator.is_main_process:
        encoder = load_encoder(run)  # read back what the next stage will get
        draw_curves(run.path / "curves.png", run.metrics)
        log.say(f"\nmean absolute error of hidden patches, held-out patients\n{reconstruction_table(errors)}")
        log.say(f"encoder ({parameter_count(encoder)}): {run.encoder}")
