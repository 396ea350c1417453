"""What every run does before its first step: accelerator, run directory, data, log."""

import csv
import hashlib
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.utils.data import DataLoader, Dataset

from data import SPLITS, render_embedded, settled
from data.base.errors import UserError
from data.config import DataConfig
from gan.checkpoint import load_checkpoint, newest_checkpoint
from gan.cli import to_yaml
from gan.config import StageConfig
from gan.logs import RunLog
from gan.rundir import RunDir, choose_run_dir, create_run_dir
from gan.state import Progress

_VERSIONS = ("torch", "torchvision", "transformers", "kornia", "accelerate", "numpy")

Splits = dict[str, Any]
ConfigT = TypeVar("ConfigT", bound=StageConfig)


def start_run(
    config: StageConfig, stage: str, *, find_unused_parameters: bool = False
) -> tuple[Accelerator, RunDir]:
    """Choose the devices and the run directory; nothing is written yet.

    Raises:
        UserError: the precision is not to be had on this device, or the directory cannot be used.
    """
    process = PartialState(cpu=config.cpu)
    if config.mixed_precision == "fp16" and process.device.type == "cpu":
        raise UserError("--mixed-precision fp16 needs a GPU; use bf16 or no on the CPU")
    chosen: list[Any] = [choose_run_dir(config, stage) if process.is_main_process else None]
    run: RunDir = broadcast_object_list(chosen)[0]
    try:
        accelerator = Accelerator(
            cpu=config.cpu,
            mixed_precision=config.mixed_precision,
            gradient_accumulation_steps=config.gradient_accumulation,
            log_with="tensorboard",
            project_dir=str(run.path),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)],
        )
    except ValueError as error:
        raise UserError(f"--mixed-precision {config.mixed_precision}: {error}") from error
    return accelerator, run


def settle_data(config: ConfigT) -> ConfigT:
    """The options with what prepared data has decided already, which is what the run writes down."""
    return replace(config, data=settled(config.data))


def build_splits(config: StageConfig, build: Callable[[DataConfig, str], Dataset[Any]]) -> Splits:
    """The data sets of the three splits. Nothing of the run is written yet: refused data leaves none.

    One process goes first, so that data that is rendered is there for the others.
    """
    with PartialState(cpu=config.cpu).main_process_first():
        render_embedded(config.data)
        return {split: build(config.data, split) for split in SPLITS}


def write_splits(run: RunDir, splits: Splits) -> None:
    """Which patient is in which split, as split.csv; of streamed training data nobody knows in advance."""
    with run.split.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("patient_id", "split"))
        for split, dataset in splits.items():
            writer.writerows((patient, split) for patient in dataset.patients or ())


def eval_loader(dataset: Dataset[Any], collate: Callable[[Any], Any], config: StageConfig) -> DataLoader[Any]:
    """A split in its own order."""
    return DataLoader(
        dataset, batch_size=config.data.batch_size, collate_fn=collate, num_workers=config.data.workers
    )


def open_run(
    accelerator: Accelerator,
    config: StageConfig,
    run: RunDir,
    splits: Splits,
    progress: Progress,
    *,
    ema: nn.Module | None = None,
) -> RunLog:
    """Load the newest checkpoint where a run is resumed, then write down what is about to run.

    In this order, so that a checkpoint that cannot be read leaves the run as it was. `progress.identity`
    is that of this run; the one in the checkpoint must be the same.

    Raises:
        UserError: there is no readable checkpoint, something changed that must not change in the middle of
            a run, or the directory cannot be written.
    """
    identity = dict(progress.identity)
    if config.resume is not None:
        load_checkpoint(accelerator, newest_checkpoint(run), progress, ema=ema)
        for name, value in identity.items():
            if progress.identity.get(name) != value:
                raise UserError(
                    f"--resume {run.path}: {name} was {progress.identity.get(name)} and is {value} now; "
                    "resume with what the run was started with, or start a new run"
                )
    if accelerator.is_main_process:
        create_run_dir(run, overwrite=config.overwrite)
        staging = run.config.with_suffix(".tmp")
        versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
        header = f"# on {accelerator.device}, Python {platform.python_version()}, {versions}\n"
        staging.write_text(header + to_yaml(config))
        staging.replace(run.config)
        write_splits(run, splits)
    accelerator.wait_for_everyone()
    # A run that was killed has written steps that come again.
    purge = {"purge_step": progress.step + 1} if config.resume is not None else {}
    accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": purge})
    log = RunLog(accelerator, run, resumed_at=progress.step if config.resume is not None else None)
    resumed = f", resumed from step {progress.step}" if config.resume is not None else ""
    log.say(f"run directory: {run.path}{resumed}")
    device = torch.cuda.get_device_name(accelerator.device) if accelerator.device.type == "cuda" else "cpu"
    log.say(
        f"preset {config.preset}, {config.data.image_size} px, "
        f"{device}, processes: {accelerator.num_processes}"
    )
    counts = ", ".join(
        f"{'unknown (streamed)' if dataset.patients is None else len(dataset.patients)} {split}"
        for split, dataset in splits.items()
    )
    log.say(f"patients: {counts}")
    return log


def choose_cases(dataset: Any, count: int) -> list[Any]:
    """Samples for the grid, always the same: spread over the split, each finding once before any twice."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    seen: Counter[tuple[str, ...]] = Counter()
    ranked: list[tuple[int, int, int, Any]] = []
    for index in order:
        if len(ranked) == 8 * count:
            break
        sample = dataset[index]
        if sample.skipped:
            continue
        findings = tuple(getattr(sample, "findings", ()))
        ranked.append((seen[findings], len(ranked), index, sample))
        seen[findings] += 1
    chosen = sorted(ranked, key=lambda entry: entry[:2])[:count]
    return [sample for *_, sample in sorted(chosen, key=lambda entry: entry[2])]


def run_identity(config: StageConfig, loader: DataLoader[Any], splits: Splits) -> dict[str, Any]:
    """What a step number means: the same step of the same run only if none of this changed.

    Where the data lies is no part of it: it may have been moved.
    """
    data = config.data
    if data.path is None and data.prepared is None:
        source: dict[str, Any] = {"--data.synthesis": asdict(data.synthesis)}
    else:
        identities = "/".join(dataset.identity for dataset in splits.values())
        fingerprint = hashlib.sha256(identities.encode()).hexdigest()[:12]
        source = {"the data (fingerprint of samples, patients and splits)": fingerprint}
    options = ("image_size", "change", "intensity", "framing", "on_error", "batch_size", "augment")
    plain = asdict(data)
    return {
        **source,
        "--seed": config.seed,
        "the number of training samples": len(splits["train"]),
        "the number of batches an epoch": len(loader),
        "--gradient-accumulation": config.gradient_accumulation,
        **{f"--data.{name.replace('_', '-')}": plain[name] for name in options},
    }


def parameter_count(model: nn.Module) -> str:
    """Parameters, in millions."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M parameters"
