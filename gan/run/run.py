"""A run: its devices, its directory, its log and how far it is."""

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock
from torch import nn

from data.base.atomic import write_rows, write_text
from data.base.errors import Interrupted, UserError
from data.sources import MixedSplit, StreamedSplit
from gan.run.allocator import keep_freed_memory
from gan.run.checkpoint import (
    checkpoint_bytes,
    list_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from gan.run.commandline import flat, settings_of, to_yaml
from gan.run.directory import RunDir, claim_run_dir, create_run_dir, give_up
from gan.run.disk import require_room
from gan.run.files import DataFiles
from gan.run.handover import seen_by, weights_digest
from gan.run.loaders import Loaders
from gan.run.log import RunLog
from gan.run.mishaps import deleted, told
from gan.run.options import StageConfig
from gan.run.processes import require_whole_networks, step_samples
from gan.run.progress import Progress
from gan.run.record import record_start
from gan.run.tracking import require_trackers, start_trackers
from gan.run.trust import foreign_code, remember, require_trust

_READERS = "the number of processes, which share a stream,"
_STEP = "the number of samples of a step (--data.batch-size x --gradient-accumulation x processes)"
_NEWER = (_STEP, "the number of steps an epoch")
_FINGERPRINT = "the data (fingerprint of samples, patients and splits)"


@dataclass
class Run:
    """Whoever has it can log, save and resume; a context that holds its directory."""

    accelerator: Accelerator
    directory: RunDir
    config: StageConfig
    log: RunLog
    progress: Progress = field(default_factory=Progress)
    kept: dict[str, nn.Module] = field(default_factory=dict)
    """Modules a checkpoint holds besides those that accelerate has prepared, by name."""
    files: DataFiles | None = None
    """Those that hold the data; the main process looks at them."""
    lock: FileLock | None = None
    """Of the directory; the main process holds it."""

    @classmethod
    def start(cls, config: StageConfig, stage: str, *, find_unused_parameters: bool = False) -> "Run":
        """Choose the devices and the run directory, which is held from now on; nothing is written yet.

        Raises:
            UserError: the precision is not to be had on this device, networks would be sharded, or the
                directory cannot be used.
        """
        require_trust(config)
        require_whole_networks()
        require_trackers(config)
        compute_deterministically(config.deterministic)
        process = PartialState(cpu=config.cpu)
        if config.mixed_precision == "fp16" and process.device.type == "cpu":
            raise UserError("--mixed-precision fp16 needs a GPU; use bf16 or no on the CPU")
        directory, lock = claim_run_dir(config, stage) if process.is_main_process else (None, None)
        directory = broadcast_object_list([directory])[0]
        try:
            accelerator = Accelerator(
                cpu=config.cpu,
                mixed_precision=config.mixed_precision,
                project_dir=str(directory.path),
                kwargs_handlers=[
                    DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
                ],
            )
        except ValueError as error:
            if lock is not None:
                give_up(directory, lock)
            raise UserError(f"--mixed-precision {config.mixed_precision}: {error}") from error
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        return cls(accelerator, directory, config, RunLog(accelerator, directory), lock=lock)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self.lock is not None:
            give_up(self.directory, self.lock)
        if kind is KeyboardInterrupt and list_checkpoints(self.directory):
            raise Interrupted(f"stopped; continue with --resume {self.directory.path}")
        if reason := told(error, self.directory):
            raise UserError(reason) from error

    def begin(
        self,
        loaders: Loaders,
        *,
        news: str,
        identity: Mapping[str, Any] | None = None,
        pretrained: RunDir | None = None,
    ) -> None:
        """Load the newest checkpoint where a run is resumed, then write down what is about to run.

        In this order, so that a checkpoint that cannot be read leaves the run as it was.

        Args:
            loaders: the data.
            news: what the stage has to say of itself.
            identity: what must not change in the middle of this stage, besides what holds for all stages.
            pretrained: the run whose encoder this one starts from.

        Raises:
            UserError: there is no readable checkpoint, something changed that must not change in the middle
                of a run, or the directory cannot be written.
        """
        self.progress.samples = step_samples(self.config, self.accelerator.num_processes)
        self.progress.identity = {
            **_identity(self.config, loaders, self.accelerator.num_processes),
            **(identity or {}),
        }
        if pretrained is not None:
            self.progress.identity["the encoder in --pretrained"] = weights_digest(pretrained)
        if self.accelerator.is_main_process:
            self.files = DataFiles.of(loaders.splits, self.directory)
        if self.config.resume is not None:
            self._resume()
        if self.accelerator.is_main_process:
            self._write_down(loaders)
        self.accelerator.wait_for_everyone()
        settings = flat(settings_of(self.config))
        start_trackers(self.accelerator, self.directory, self.config, settings, self.progress.step)
        self._introduce(loaders, news)
        if pretrained is not None and (warning := seen_by(pretrained, loaders.splits)):
            self.log.say(warning)

    def save(self) -> None:
        """Write a checkpoint; every process calls this."""
        if self.accelerator.is_main_process and not self.directory.checkpoints.is_dir():
            raise UserError(deleted(self.directory))  # and not made again
        keep = self.config.keep_checkpoints
        save_checkpoint(self.accelerator, self.directory, self.progress, keep=keep, kept=self.kept)

    def write_test(self, numbers: Mapping[str, Any], loaders: Loaders) -> None:
        """The last line of metrics.jsonl: the numbers on patients never trained on."""
        self.log.report_skipped()
        epoch = math.ceil(self.progress.step / loaders.steps_per_epoch)
        self.log.write(numbers, step=self.progress.step, epoch=epoch, split="test")

    def _resume(self) -> None:
        identity = dict(self.progress.identity)
        leads = self.accelerator.is_main_process
        checkpoint, problems = broadcast_object_list([newest_checkpoint(self.directory) if leads else None])[
            0
        ]
        for problem in problems:
            self.log.say(f"WARNING: {problem}; going on from {checkpoint.name}")
        load_checkpoint(self.accelerator, checkpoint, self.progress, kept=self.kept)
        for name, value in identity.items():
            # A run from before steps were counted in samples knew its options instead, which config.yaml has.
            if self.progress.identity.get(name, value if name in _NEWER else None) != value:
                raise UserError(
                    f"--resume {self.directory.path}: {name} was {self.progress.identity.get(name)} and is "
                    f"{value} now; resume with what the run was started with, or start a new run"
                )
        self.progress.identity |= identity
        if self.files is not None:
            self.files.require_those_of_the_start()
        self.log.resume(self.progress.step)

    def _write_down(self, loaders: Loaders) -> None:
        config, kept = self.config, self.config.keep_checkpoints + 2  # the best, and the one being written
        if config.resume is None and not config.overwrite:
            needed = kept * checkpoint_bytes(self.accelerator, self.kept)
            require_room(self.directory.path, needed, "its checkpoints take", "lower --keep-checkpoints")
        create_run_dir(self.directory, overwrite=config.overwrite)
        if config.resume is None and foreign_code(config):
            remember(self.directory)
        write_text(self.directory.config, to_yaml(self.config))
        assert self.files is not None  # of the main process, which alone comes here
        self.files.write()
        record_start(
            self.directory.starts,
            self.accelerator,
            config,
            step=self.progress.step,
            data=self.progress.identity[_FINGERPRINT],
            files=self.files.contents.fingerprint,
        )
        # Of streamed training data nobody knows the patients in advance.
        rows = [(patient, name) for name, split in loaders.splits.items() for patient in split.patients or ()]
        write_rows(self.directory.split, [("patient_id", "split"), *rows])

    def _introduce(self, loaders: Loaders, news: str) -> None:
        device = self.accelerator.device
        resumed = f", resumed from step {self.progress.step}" if self.config.resume is not None else ""
        self.log.say(f"run directory: {self.directory.path}{resumed}")
        self.log.say(
            f"preset {self.config.preset}, {self.config.data.image_size} px, "
            f"{torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'}, "
            f"processes: {self.accelerator.num_processes}, {self.progress.samples} samples a step"
        )
        counts = ", ".join(
            f"{'unknown (streamed)' if split.patients is None else len(split.patients)} {name}"
            for name, split in loaders.splits.items()
        )
        self.log.say(f"patients: {counts}")
        if isinstance(train := loaders.splits["train"], MixedSplit):
            self.log.say(train.describe())
        self.log.say(news)


def _identity(config: StageConfig, loaders: Loaders, processes: int) -> dict[str, Any]:
    """What a step number means: the same step of the same run only if none of this changed.

    Where the data lies is no part of it: it may have been moved.
    """
    identities = "/".join(split.identity for split in loaders.splits.values())
    fingerprint = hashlib.sha256(identities.encode()).hexdigest()[:12]
    options = ("image_size", "change", "intensity", "framing", "align", "on_error", "augment")
    plain = asdict(config.data)
    batches = {"--gradient-accumulation": config.gradient_accumulation} if config.contrasts else {}
    readers = {_READERS: processes} if isinstance(loaders.splits["train"], StreamedSplit) else {}
    return {
        _FINGERPRINT: fingerprint,
        "--seed": config.seed,
        _STEP: step_samples(config, processes),
        "the number of steps an epoch": loaders.steps_per_epoch,
        **batches,
        **readers,
        **{f"--data.{name.replace('_', '-')}": plain[name] for name in options},
    }


def compute_deterministically(wanted: bool) -> None:
    """Have PyTorch use deterministic algorithms only, or whichever it likes; before a GPU is touched."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS sums in a fixed order with it
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)


def parameter_count(model: nn.Module) -> str:
    """Parameters, in millions."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M parameters"
