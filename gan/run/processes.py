"""How many processes share an optimiser step, and what that means for the batches of each."""

from dataclasses import replace
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from data.base.errors import UserError
from gan.run.checkpoint import list_checkpoints, read_marker
from gan.run.directory import RunDir
from gan.run.options import StageConfig

ConfigT = TypeVar("ConfigT", bound=StageConfig)
_SHARDING = {"FSDP": "FSDP", "DEEPSPEED": "DeepSpeed", "MEGATRON_LM": "Megatron-LM"}
"""By the end of the variable that accelerate launch sets."""


def require_whole_networks() -> None:
    """Refuse a launcher's configuration by which networks would be sharded.

    Accelerate shards one network a process only, and on a CPU none: it trains on as if nothing were asked.

    Raises:
        UserError: naming what was configured.
    """
    for variable, name in _SHARDING.items():
        if parse_flag_from_env(f"ACCELERATE_USE_{variable}"):
            raise UserError(
                f"accelerate is configured to shard networks ({name}), which stages cannot do; launch "
                f"without --use_{variable.lower()}, or with another configuration file"
            )


def step_samples(config: StageConfig, processes: int) -> int:
    """Samples of an optimiser step in all processes together."""
    return config.data.batch_size * config.gradient_accumulation * processes


def share_steps(config: ConfigT) -> ConfigT:
    """The options of a run as they hold for as many processes as there are.

    Where it is resumed by another number of processes than before, a step stays that of as many samples: with
    more or fewer batches of at most as many samples as before or, where those of a batch are contrasted, with
    larger or smaller ones.

    Raises:
        UserError: the processes cannot share a step equally.
    """
    found = list_checkpoints(RunDir(config.resume)) if config.resume is not None else []
    if not found:
        return config
    try:
        marker = read_marker(found[-1])
    except (OSError, ValueError):
        return config  # which is said where the checkpoint is read
    processes, before = PartialState(cpu=config.cpu).num_processes, marker["processes"]
    if processes == before:
        return config
    samples = marker.get("samples") or step_samples(config, before)
    mine, rest = divmod(samples, processes)
    most, fixed = config.data.batch_size, config.gradient_accumulation
    fits = [fixed] if config.contrasts else range(-(-mine // most), mine + 1)
    accumulation = next((count for count in fits if mine and not rest and mine % count == 0), None)
    if accumulation is None:
        raise UserError(
            f"--resume {config.resume}: an optimiser step is of {samples} samples, which {processes} "
            f"processes cannot share equally; start as many as divide it, such as {before}"
        )
    data = replace(config.data, batch_size=mine // accumulation)
    return replace(config, gradient_accumulation=accumulation, data=data)
