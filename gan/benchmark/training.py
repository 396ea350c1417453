"""What `gan.benchmark` measures. Batches are random numbers: the time does not depend on what is in them."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from accelerate import Accelerator

from data import ImageBatch, PairBatch, Radiograph, augment_images, augment_pairs
from gan.adversarial import stage as adversarial
from gan.adversarial.game import Turn
from gan.adversarial.options import PRESETS as ADVERSARIAL
from gan.adversarial.options import AdversarialConfig
from gan.adversarial.step import adversarial_step, ema_update
from gan.pretrain.masked import MaskedStage, masked_step
from gan.pretrain.masks import patch_masks
from gan.pretrain.options import PRESETS as PRETRAIN
from gan.pretrain.options import PretrainConfig
from gan.run.allocator import keep_freed_memory
from gan.run.change_model import ChangeModel
from gan.run.handover import Preprocessing
from gan.run.learner import Learner
from gan.run.options import Preset
from networks import BottleneckEncoder

WARM_UP = 3


def measure_training(preset: Preset, *, steps: int, mixed_precision: str, cpu: bool) -> Iterator[str]:
    """Yield one line of text for each thing measured."""
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed_precision)
    device = accelerator.device
    if device.type == "cpu":
        keep_freed_memory()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    yield (
        f"preset {preset} on {name}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}, "
        f"precision {mixed_precision}"
    )
    yield f"gan.adversarial --help: {help_seconds():.2f} s"

    pretraining = PRETRAIN[preset]
    images, transform, step = pretrain_pieces(accelerator, pretraining)
    yield report("augment + mask, pretraining", seconds(transform, device, steps), images)
    yield report("training step, pretraining", seconds(step, device, steps), images)

    training = ADVERSARIAL[preset]
    pairs, transform, step, predict = adversarial_pieces(accelerator, training)
    yield report("augment, adversarial", seconds(transform, device, steps), pairs)
    yield report("training step, adversarial", seconds(step, device, steps), pairs)
    yield report(f"prediction at {training.data.image_size} px", seconds(predict, device, steps), 1)
    yield f"peak memory of this process: {peak_memory(device)}"


def pretrain_pieces(
    accelerator: Accelerator, config: PretrainConfig
) -> tuple[int, Callable[[], object], Callable[[], object]]:
    """Batch size, augmentation and one training step of pretraining."""
    batch = ImageBatch(id=_ids(config.data.batch_size), image=_images(config, accelerator)[0])
    learner = Learner.prepare(accelerator, MaskedStage.build_model(config), config.optim)
    size = (config.data.image_size, config.data.image_size)

    def transform() -> tuple[ImageBatch, torch.Tensor]:
        mask = patch_masks(batch.id, size, config.mask, seed=0, epoch=0).to(accelerator.device)
        return augment_images(batch, config.data.augment, seed=0, epoch=0), mask

    augmented, mask = transform()
    return len(batch), transform, lambda: masked_step(learner, [augmented], lambda _: mask)


def adversarial_pieces(
    accelerator: Accelerator, config: AdversarialConfig
) -> tuple[int, Callable[[], object], Callable[[], object], Callable[[], object]]:
    """Batch size, augmentation, one training step with all terms, and one prediction."""
    baseline, followup, target = _images(config, accelerator)
    ids = _ids(config.data.batch_size)
    batch = PairBatch(
        id=ids,
        baseline=baseline,
        followup=followup,
        target=target,
        target_baseline=target,
        findings=[()] * len(ids),
    )
    state = adversarial.build_state(accelerator, config, BottleneckEncoder(config.network))
    model = ChangeModel(state.ema.module, Preprocessing.of(config.generator, config.data))

    def transform() -> PairBatch:
        return augment_pairs(batch, config.data.augment, seed=0, epoch=0, change=config.data.change)

    augmented = transform()

    def step() -> None:
        adversarial_step(state, [augmented], Turn())
        ema_update(state, config.ema_decay)

    films = [Radiograph(pixels=image[0, 0].cpu().numpy(), spacing_mm=None) for image in (baseline, followup)]

    def predict() -> object:
        return model(*films)

    return len(batch), transform, step, predict


def seconds(action: Callable[[], object], device: torch.device, steps: int) -> float:
    """Mean seconds of `action`, whatever it started on the GPU included."""
    for _ in range(WARM_UP):
        action()
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        action()
    _synchronise(device)
    return (time.perf_counter() - start) / steps


def help_seconds() -> float:
    """Wall time of `python -m gan.adversarial --help`, the interpreter's start included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gan.adversarial", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def peak_memory(device: torch.device) -> str:
    """Most memory held at once, on the host and on the GPU."""
    host = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    if device.type == "cuda":
        return f"{host}, GPU {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB"
    return host


def report(name: str, duration: float, samples: int) -> str:
    """One line: time of a batch and samples a second."""
    return f"{name}: {duration * 1e3:.1f} ms for a batch of {samples}, {samples / duration:.1f} a second"


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _ids(count: int) -> list[str]:
    return [f"sample {number}" for number in range(count)]


def _images(config: AdversarialConfig | PretrainConfig, accelerator: Accelerator) -> torch.Tensor:
    size = (3, config.data.batch_size, 1, config.data.image_size, config.data.image_size)
    return torch.rand(size, generator=torch.Generator().manual_seed(0)).to(accelerator.device)
