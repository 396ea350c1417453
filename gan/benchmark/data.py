"""What `gan.benchmark` measures of the data: reading, preparing, waiting, indexing.

Files and folders are made for it in a temporary directory, as large as real ones.
"""

import csv
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from skimage.io import imsave

from data import DataConfig, ImageRecord, PairRecord, RecordTable, collate_pairs, open_images, open_pairs
from data.base.processes import Processes, available_cores, in_processes
from data.config import EmbeddedConfig, SplitConfig
from data.geometry import content_of
from data.index.indexer import index
from data.index.options import IndexConfig
from data.manifests.loading import load_record
from data.manifests.manifest import images_in_manifest, pairs_in_manifest
from data.manifests.records import PAIR_FILES
from data.manifests.splits import split_by_patient
from data.prepare.writing import Recipe, prepare_records
from gan.adversarial.game import Turn
from gan.adversarial.options import PRESETS, AdversarialConfig
from gan.adversarial.stage import build_state
from gan.adversarial.step import adversarial_step
from gan.run.loaders import train_loader
from gan.run.loop import DataWatch

RECIPE = Recipe(size=512, bits=16, change="magnitude", intensity="dicom", framing="pad", on_error="raise")
FILM = (2500, 2048)
"""Rows and columns of a storage phosphor plate of 35 x 43 cm, about."""
FILES, ATTEMPTS, SHORT_SET, LONG_SET = 48, 3, 256, 2048
PATIENTS, STUDIES, IMAGES_A_STUDY = 100_000, 5, 2
WARM_UP, STEPS, TRAIN_PATIENTS = 5, 60, 12
DATA, OUT = "data", "out"


def measure_loading() -> Iterator[str]:
    """Reading prepared data, preparing them, and how long training waits for either kind of data."""
    with tempfile.TemporaryDirectory() as folder:
        yield from reading(Path(folder))
        yield preparing(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        for name, config in training_data(Path(folder)):
            yield f"training at tiny on {name} data: {waiting(config):.2%} of the time is waiting for a batch"


def measure_indexing() -> Iterator[str]:
    """A million images from the official table of a data set to manifests, and from a manifest to splits."""
    with tempfile.TemporaryDirectory() as folder:
        images = write_mimic(Path(folder) / DATA)
        for name, action in (
            ("indexing", index_mimic),
            ("checking the manifest and splitting", split_manifest),
        ):
            took, gib = in_a_process(action, Path(folder))
            yield f"{name}, {images:,} images of {PATIENTS:,} patients: {took:.1f} s, {gib:.2f} GiB at most"


def reading(folder: Path) -> Iterator[str]:
    """Images a second on one core, warm, and the memory of the process, for a short and a long data set."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    files = [folder / f"read_{number}.png" for number in range(8)]
    for file in files:
        imsave(file, rng.integers(0, 65536, (512, 512), dtype=np.uint16), check_contrast=False)
    for count in (SHORT_SET, LONG_SET):
        records = RecordTable.of(
            ImageRecord,
            [
                ImageRecord(id=str(number), patient_id=str(number), image=files[number % 8], split="train")
                for number in range(count)
            ],
        )
        out = folder / f"prepared_{count}"
        prepare_records(records, out, RECIPE, engine=Processes(), progress=False)
        config = DataConfig(prepared=str(out), image_size=512)
        rate, mib = in_a_process(read_all, config)
        yield (
            f"reading {count} prepared images of 512 px: {rate:.0f} a second on one core, "
            f"{mib:.0f} MiB of memory more than before"
        )
    torch.set_num_threads(threads)


def read_all(config: DataConfig) -> tuple[float, float]:
    """Images a second of the second pass over a data set, and MiB of private memory it took."""
    torch.set_num_threads(1)
    images = open_images(config, ["train"])["train"]
    count = len(images)
    images[0]
    before = private_memory()
    for _ in range(2):
        begun = time.perf_counter()
        for number in range(count):
            images[number]
        rate = count / (time.perf_counter() - begun)
    return rate, (private_memory() - before) / 2**20


def preparing(folder: Path) -> str:
    """Speed of preparing against decoding and resizing alone, with one process a core."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 6, FILM[0])[:, None]
    smooth = 0.5 + 0.3 * np.sin(rows) * np.cos(np.linspace(0, 5, FILM[1]))
    records = []
    for number in range(FILES):
        noisy = smooth + rng.normal(0, 0.01, FILM)
        path = folder / f"film_{number}.png"
        imsave(path, np.round(noisy.clip(0, 1) * 65535).astype(np.uint16), check_contrast=False)
        records.append(ImageRecord(id=str(number), patient_id=str(number), image=path, split="train"))
    table = RecordTable.of(ImageRecord, records)
    cores = available_cores()

    def prepare() -> None:
        prepare_records(
            table, folder / "films", RECIPE, engine=Processes(cores), overwrite=True, progress=False
        )

    # In turns, since the machine may have better and worse moments.
    times = [(seconds_of(lambda: decode_all(records, cores)), seconds_of(prepare)) for _ in range(ATTEMPTS)]
    alone, whole = (min(column) for column in zip(*times, strict=True))
    return (
        f"preparing {FILES} files of {FILM[0]} x {FILM[1]} at 512 px on {cores} cores: "
        f"{FILES / whole:.1f} a second, {alone / whole:.0%} of decoding and resizing alone "
        f"({FILES / alone:.1f} a second)"
    )


def decode_all(records: list[ImageRecord], cores: int) -> None:
    """What preparing cannot do without: every file decoded and resized, on all cores."""
    parts = [records[start::8] for start in range(8)]
    list(in_processes(decode_some, parts, workers=cores))


def decode_some(records: list[ImageRecord]) -> None:
    """Decode and resize some files."""
    for record in records:
        picture = load_record(record, intensity="dicom", change="magnitude")["image"]
        content_of(torch.from_numpy(picture.pixels)[None], 512, picture.geometry("pad"))


def training_data(folder: Path) -> Iterator[tuple[str, AdversarialConfig]]:
    """The tiny preset on embedded data, few but enough, and on the same images prepared."""
    preset = PRESETS["tiny"]
    synthesis = EmbeddedConfig(
        train_patients=TRAIN_PATIENTS, val_patients=1, test_patients=1, volume="phantom"
    )
    embedded = replace(preset.data, synthesis=synthesis, cache_dir=folder)
    pairs = open_pairs(embedded, ["train"])["train"]
    yield "embedded", replace(preset, data=embedded)
    records = [_write_pair(folder, pairs[index]) for index in range(len(pairs))]
    recipe = replace(RECIPE, size=embedded.image_size)
    prepare_records(
        RecordTable.of(PairRecord, records), folder / "out", recipe, engine=Processes(1), progress=False
    )
    yield "prepared", replace(preset, data=replace(preset.data, prepared=str(folder / "out")))


def _write_pair(folder: Path, pair: Any) -> PairRecord:
    files: dict[str, Any] = {role: folder / f"{pair.id.replace('/', '_')}_{role}.npy" for role in PAIR_FILES}
    for role, file in files.items():
        np.save(file, getattr(pair, role)[0].numpy())
    return PairRecord(id=pair.id, patient_id=pair.patient_id, split="train", **files)


def waiting(config: AdversarialConfig) -> float:
    """Share of the time of training that goes by until the next batch is there."""
    config = replace(config, weights=replace(config.weights, perceptual=0.0))
    accelerator = Accelerator(cpu=True)
    state = build_state(accelerator, config, None)
    pairs = open_pairs(config.data, ["train"])["train"]
    loader, order = train_loader(accelerator, pairs, collate_pairs, config)
    watch, done = DataWatch(), 0
    while done < WARM_UP + STEPS:
        order.epoch = done
        for batch in watch.iterate(loader):
            adversarial_step(state, [batch], Turn())
            done += 1
            if done == WARM_UP:
                watch.waiting = watch.total = 0.0
    return watch.share


def write_mimic(root: Path) -> int:
    """A data set of empty files in the layout of MIMIC-CXR-JPG; returns how many images it has."""
    number = 0
    root.mkdir()
    with (root / "mimic-cxr-2.0.0-metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime"])
        for patient in range(PATIENTS):
            subject = 10_000_000 + patient
            for study in range(STUDIES):
                study_id = 50_000_000 + patient * STUDIES + study
                folder = root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study_id}"
                folder.mkdir(parents=True)
                for view in ("PA", "LATERAL")[:IMAGES_A_STUDY]:
                    name = f"{number:032x}"
                    os.close(os.open(folder / f"{name}.jpg", os.O_CREAT | os.O_WRONLY))
                    date = f"21{study:02d}{patient % 12 + 1:02d}15"
                    writer.writerow([name, subject, study_id, view, date, "120000.0"])
                    number += 1
    return number


def index_mimic(folder: Path) -> tuple[float, float]:
    """Seconds and peak memory of `data.index`."""
    begun = time.perf_counter()
    index(IndexConfig(root=folder / DATA, out=folder / OUT, layout="mimic-cxr-jpg"))
    return time.perf_counter() - begun, _peak_gib()


def split_manifest(folder: Path) -> tuple[float, float]:
    """Seconds and peak memory of reading the manifest of a million images, all checks included."""
    begun = time.perf_counter()
    images = images_in_manifest(folder / OUT / "images.csv")
    unnamed = RecordTable(images.kind, images.columns.drop_columns(["split"]), images.folder)
    split_by_patient(unnamed, SplitConfig(), place="images.csv")
    pairs_in_manifest(folder / OUT / "pairs.csv")
    return time.perf_counter() - begun, _peak_gib()


def in_a_process(action: Callable[..., Any], argument: Any) -> Any:
    """Call something in a fresh process with one thread, so that its time and memory are its own."""
    ((_, result),) = in_processes(action, [argument], workers=1, isolate=True)
    return result


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def private_memory() -> int:
    """Bytes of this process's own memory; mapped files, which the system can drop at any time, are not."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process has of its own")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
