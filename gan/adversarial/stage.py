"""The adversarial stage: put together, run, and judged."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from data import PairBatch, augment_pairs, collate_pairs
from data.base.errors import UserError
from data.base.seeds import fold_seed
from data.sources import open_pairs, settled
from gan.adversarial.game import Standing, Turn, look, turn_of
from gan.adversarial.gradients import ADVERSARIAL, SHARE
from gan.adversarial.networks import build_discriminator, build_generator
from gan.adversarial.objective import build_objective
from gan.adversarial.options import AdversarialConfig
from gan.adversarial.step import (
    AdversarialState,
    adversarial_step,
    assemble,
    ema_update,
    judge_both,
    masked,
    set_trainable,
    true_map,
)
from gan.measures.baselines import BASELINES, baseline_maps
from gan.measures.evaluation import REPLICATES, Evaluation, Tally
from gan.measures.report import final_line, logged, summarise, table, write_cases, write_summary
from gan.pictures.change import draw_change_grid
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
from gan.run.judge import of_sources
from gan.run.loaders import Loaders, choose_cases, open_loaders
from gan.run.log import RunLog
from gan.run.loop import train
from gan.run.optim import channels_last, learning_rate, set_learning_rate
from gan.run.processes import share_steps
from gan.run.progress import Terms
from gan.run.run import Run, parameter_count
from gan.run.schedules import ema_decay
from losses import shares_right

MODEL = "model"
"""What the generator is called among the methods that are judged."""


def train_adversarially(config: AdversarialConfig, pretrained: RunDir | None) -> Run:
    """Run the stage from the options to the final numbers.

    Args:
        config: the options.
        pretrained: the pretraining run whose encoder the generator starts from; None for a fresh one.

    Raises:
        UserError, DataError: an option or a file is not what it should be.
        Interrupted: a signal asked to stop; the run has saved itself.
    """
    config = share_steps(replace(config, data=settled(config.data)))
    with Run.start(config, "adversarial", find_unused_parameters=config.freeze_encoder_epochs > 0) as run:
        return _train(run, config, pretrained)


def _train(run: Run, config: AdversarialConfig, pretrained: RunDir | None) -> Run:
    encoder = None if pretrained is None else load_encoder(pretrained, config.encoder)
    state = build_state(run.accelerator, config, encoder)
    loaders = open_loaders(run.accelerator, config, open_pairs, collate_pairs)
    cases = choose_cases(loaders.splits["val"], config.grid_cases)
    stage = AdversarialStage(config, state, loaders, cases, run.directory, run.log)
    run.kept |= {"ema": state.ema, "losses": state.objective.modules, "game": state.averages}
    run.begin(loaders, news=stage.introduction(), pretrained=pretrained)
    train(run, stage, loaders)

    # Of the saved generator, on patients never trained on.
    run.accelerator.wait_for_everyone()
    generator = load_network(run.directory.generator, trusted=ANY)[0].to(run.accelerator.device)
    validated = stage.judge(generator, chain.from_iterable(loaders.val.values()), beside=True)
    thresholds = validated.best_thresholds() if validated.changed else {}
    tested = {
        name: stage.judge(generator, run.log.watch(batches), beside=True, thresholds=thresholds)
        for name, batches in loaders.test.items()
    }
    lines = {name: final_line(evaluation, MODEL, list(BASELINES)) for name, evaluation in tested.items()}
    run.write_test(of_sources(lines), loaders)
    if run.accelerator.is_main_process:
        draw_curves(run.directory.curves, run.directory.metrics)
        for number, (name, evaluation) in enumerate(tested.items(), start=1):
            conclude(run, f"{number}" if len(tested) > 1 else "", name, evaluation)
        run.log.say(f"generator: {run.directory.generator}")
    run.accelerator.end_training()
    return run


def conclude(run: Run, place: str, source: str, tested: Evaluation) -> None:
    """Write and show what the run comes to on patients never trained on.

    Args:
        run: the run.
        place: where in its folder of evaluations; each source of a mix has one of its own.
        source: name of that source; empty where there is only one.
        tested: what was found.
    """
    summary = summarise(tested, models=[MODEL], by=["finding"], replicates=REPLICATES)
    folder = run.directory.evaluation / place
    write_summary(folder / "summary.json", summary)
    write_cases(folder / "cases.csv", tested)
    of = f" of {source}" if source else ""
    run.log.say(f"\n{summary['pairs']} pairs of {summary['patients']} held-out patients{of}")
    run.log.say(table(summary, {MODEL: "change model", **BASELINES}))


def build_state(
    accelerator: Accelerator, config: AdversarialConfig, encoder: nn.Module | None
) -> AdversarialState:
    """Networks, objective and optimisers of a run that starts from a pretrained encoder, or from none."""
    torch.manual_seed(fold_seed("initialisation", config.seed))
    generator, discriminator = build_generator(config), build_discriminator(config, encoder)
    if encoder is not None:
        transfer_encoder(channels_last(encoder), generator, config.pretrained)
    if config.freeze_encoder_epochs and not hasattr(generator, "encoder"):
        raise UserError("--freeze-encoder-epochs: this generator has no attribute encoder to freeze")
    objective = build_objective(config, encoder, accelerator.device)
    return assemble(accelerator, generator, discriminator, objective, config.optim, config.game)


@dataclass(frozen=True)
class AdversarialStage:
    """What the loop asks of adversarial training; see `gan.run.loop.Stage`."""

    config: AdversarialConfig
    state: AdversarialState
    loaders: Loaders
    cases: list[Any]
    directory: RunDir
    log: RunLog
    chooser = "average_precision"
    higher_is_better = True
    shown = ("l1", "adversarial", "discriminator")

    def step(self, batches: Sequence[PairBatch], epoch: int, step: int) -> Terms:
        """Augment, then one step of D, of G and of the average."""
        config, state = self.config, self.state
        augment, change, seed = config.data.augment, config.data.change, config.seed
        batches = [augment_pairs(batch, augment, change=change, seed=seed, epoch=epoch) for batch in batches]
        set_rate = partial(set_learning_rate, course=config.optim, step=step, total=self.loaders.total_steps)
        set_rate(state.optimizer_generator, config.optim.lr_generator)
        set_rate(state.optimizer_discriminator, config.optim.lr_discriminator)
        if config.freeze_encoder_epochs:
            learns = epoch >= config.freeze_encoder_epochs
            set_trainable(self._encoder_parameters, learns)
            self._encoder.train(learns)  # statistics of a normalisation would move
        per_epoch, paused = self.loaders.steps_per_epoch, state.averages.paused
        turn = turn_of(config, step, per_epoch=per_epoch, paused=paused)
        terms = adversarial_step(state, batches, turn)
        ema_update(state, ema_decay(step, decay=config.ema_decay))
        if turn.looks:
            self._look(turn, terms)
        return terms

    def _look(self, turn: Turn, terms: Terms) -> None:
        """Look at how the game stands, and say what is wrong with it."""
        standing = Standing.of(self.state.averages, terms.get(f"{SHARE}{ADVERSARIAL}"))
        for sentence in look(self.state.averages, standing, self.config, heard=turn.volume == 1):
            self.log.say(f"WARNING: {sentence}")

    def settings(self) -> dict[str, Any]:
        """Weights and learning rates of the moment."""
        return {
            "weights": dict(self.state.objective.weights),
            "lr_generator": learning_rate(self.state.optimizer_generator),
            "lr_discriminator": learning_rate(self.state.optimizer_discriminator),
        }

    def evaluate(self, batches: Iterable[PairBatch]) -> dict[str, Any]:
        """Numbers of the averaged generator, and how D does on the maps of the one that it plays against."""
        if self.config.weights.adversarial == 0:
            return dict(logged(self.judge(self.state.ema.module, batches), MODEL))
        right: list[Tensor] = []
        judged = self.judge(self.state.ema.module, self._played(batches, right))
        accuracy = self.state.accelerator.reduce(torch.stack(right).mean(), reduction="mean")
        return {**logged(judged, MODEL), "disc_accuracy": accuracy.item()}

    def _played(self, batches: Iterable[PairBatch], right: list[Tensor]) -> Iterator[PairBatch]:
        """The batches; `right` gets the balanced accuracy over patches of each."""
        unwrap = self.state.accelerator.unwrap_model
        generator, discriminator = unwrap(self.state.generator), unwrap(self.state.discriminator)
        threshold = self.state.objective.adversarial.threshold
        for batch in batches:
            generator.eval()
            fake = self._predict(generator, batch)
            generator.train()
            right.append(accuracy(discriminator, masked(batch), fake, threshold))
            yield batch

    def draw(self, path: Path) -> None:
        """The sample grid of the averaged generator, and what D makes of it."""
        batch = collate_pairs(self.cases).to(self.state.accelerator.device)
        prediction = self._predict(self.state.ema.module, batch)
        draw_change_grid(
            path,
            batch,
            prediction,
            logits=judge(self.state.accelerator.unwrap_model(self.state.discriminator), batch, prediction),
            signed=self._signed,
        )

    def export(self) -> None:
        """Save the averaged generator, and how it must be fed."""
        preprocessing = Preprocessing.of(self.config.generator, self.config.data)
        save_network(self.state.ema.module, self.directory.generator, preprocessing)

    def introduction(self) -> str:
        """Where the encoder comes from, how much data there is, and how large the networks are."""
        unwrap = self.state.accelerator.unwrap_model
        generator, discriminator = unwrap(self.state.generator), unwrap(self.state.discriminator)
        origin = "fresh"
        if self.config.pretrained != "none":
            origin = f"all {len(generator.encoder.state_dict())} tensors from {self.config.pretrained}"
        return (
            f"encoder: {origin}\n{len(self.loaders.splits['train'])} training pairs; "
            f"generator {parameter_count(generator)}, discriminator {parameter_count(discriminator)}"
        )

    @property
    def _signed(self) -> bool:
        return self.config.data.change == "signed"

    @property
    def _encoder(self) -> nn.Module:
        encoder: nn.Module = self.state.accelerator.unwrap_model(self.state.generator).encoder
        return encoder

    @cached_property
    def _encoder_parameters(self) -> list[nn.Parameter]:
        return [parameter for parameter in self._encoder.parameters() if parameter.requires_grad]

    def judge(
        self,
        generator: nn.Module,
        batches: Iterable[PairBatch],
        *,
        beside: bool = False,
        thresholds: Mapping[str, int] | None = None,
    ) -> Evaluation:
        """What the generator makes of a split, in all processes; `beside` it the maps without a model."""
        tally = Tally(self._signed, thresholds)
        for batch in batches:
            maps = {MODEL: self._predict(generator, batch)}
            if beside:
                maps |= baseline_maps(batch.baseline, batch.followup, signed=self._signed)
            tally.add(*self._gathered(maps, batch))
        return tally.judge()

    def _gathered(self, maps: dict[str, Tensor], batch: PairBatch) -> tuple[dict[str, Tensor], PairBatch]:
        """Maps and pairs of all processes, each pair once."""
        gather = self.state.accelerator.gather_for_metrics
        valid = torch.ones_like(batch.followup) if batch.valid is None else batch.valid
        tensors = {"followup": batch.followup, "baseline": batch.baseline, "target": batch.target}
        tensors |= {"valid": valid, **{f"map/{name}": values for name, values in maps.items()}}
        tensors = gather(tensors)
        known = {
            name: gather(getattr(batch, name), use_gather_object=True)
            for name in ("id", "patient_id", "findings", "columns")
        }
        gathered = {name: tensors.pop(name) for name in ("followup", "baseline", "target", "valid")}
        maps = {name.removeprefix("map/"): values for name, values in tensors.items()}
        return maps, PairBatch(**gathered, **known)

    @torch.no_grad()
    def _predict(self, generator: nn.Module, batch: PairBatch) -> Tensor:
        """The change map of a generator in eval mode, computed in the run's precision, float32."""
        with self.state.accelerator.autocast():
            change = generator(batch.baseline, batch.followup)
        return change.float()


@torch.no_grad()
def accuracy(
    discriminator: nn.Module, batch: PairBatch, prediction: Tensor, threshold: float | None
) -> Tensor:
    """D's balanced accuracy over the patches of true maps and predictions; D is left as it was."""
    discriminator.eval()
    prediction = prediction if batch.valid is None else prediction * batch.valid
    right = shares_right(*judge_both(discriminator, batch, true_map(batch), prediction), threshold)
    discriminator.train()
    return torch.stack(right).mean()


@torch.no_grad()
def judge(discriminator: nn.Module, batch: PairBatch, prediction: Tensor) -> Tensor:
    """D's logit map (of the finest scale) for a prediction; D is left as it was.

    In eval mode, since spectral norm moves its vectors with every pass in training mode.
    """
    discriminator.eval()
    logits = discriminator(batch.baseline, batch.followup, prediction)
    discriminator.train()
    return logits if isinstance(logits, Tensor) else logits[0]
