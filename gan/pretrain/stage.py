"""Pretraining: put together, run, and judged."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from data import collate_images
from data.base.seeds import fold_seed
from data.sources import open_images, settled
from gan.pictures.curves import draw_curves
from gan.pretrain.contrastive import ContrastiveStage
from gan.pretrain.masked import MaskedStage
from gan.pretrain.options import PretrainConfig
from gan.run.checkpoint import load_best_weights
from gan.run.handover import load_encoder
from gan.run.judge import judge_sources, say_sources
from gan.run.learner import Learner
from gan.run.loaders import choose_cases, open_loaders
from gan.run.loop import train
from gan.run.processes import share_steps
from gan.run.run import Run, parameter_count

METHODS: Mapping[str, type[MaskedStage] | type[ContrastiveStage]] = {
    "masked": MaskedStage,
    "contrastive": ContrastiveStage,
}


def pretrain(config: PretrainConfig) -> Run:
    """Run the stage from the options to the final numbers.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = share_steps(replace(config, data=settled(config.data)))
    with Run.start(config, "pretrain") as run:
        return _pretrain(run, config)


def _pretrain(run: Run, config: PretrainConfig) -> Run:
    torch.manual_seed(fold_seed("initialisation", config.seed))
    method = METHODS[config.method]
    learner = Learner.prepare(run.accelerator, method.build_model(config), config.optim)
    loaders = open_loaders(run.accelerator, config, open_images, collate_images)
    cases = choose_cases(loaders.splits["val"], config.grid_cases)
    stage = method(config, learner, loaders, cases, run.directory)
    images = f"{len(loaders.splits['train'])} training images"
    run.begin(
        loaders, identity={"--method": config.method}, news=f"{images}; {parameter_count(learner.network)}"
    )
    train(run, stage, loaders)

    # Of the best model, whose encoder was saved, on patients never trained on.
    load_best_weights(run.directory, learner.network)
    numbers = judge_sources(stage.test, loaders.test, run.log)
    run.write_test(numbers, loaders)
    if run.accelerator.is_main_process:
        encoder = load_encoder(run.directory, config.encoder)  # read back what the next stage will get
        draw_curves(run.directory.curves, run.directory.metrics)
        say_sources(run.log, numbers, stage.final_words)
        run.log.say(f"encoder ({parameter_count(encoder)}): {run.directory.encoder}")
    run.accelerator.end_training()
    return run
