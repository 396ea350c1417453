"""CT volumes -> pairs on disk, in several processes."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from data.base.errors import DataError
from data.base.processes import ProcessDiedError, available_cores, in_processes
from data.findings import FINDINGS, LUNGS
from data.manifests.splits import draw_splits
from data.simulation.findings.volume import possible_findings
from data.simulation.volumes.files import Source, find_volumes, read_volume
from data.simulation.volumes.thorax import make_thorax
from data.synthesize.options import SynthesizeConfig
from data.synthesize.output import PRIVATE, Folder, Record, patient_name
from data.synthesize.scenes import render_virtual_patient

_GPU_WORKERS = 4
_FINE_PIXELS = 256
_FEWEST_VOLUMES = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some virtual patients of one volume."""

    source: Source
    digest: str
    patients: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job."""

    volume: str
    patients: int
    labelled: bool = False
    missing: tuple[str, ...] = ()
    """Findings asked for that the volume cannot have."""
    problem: str | None = None
    """Why the volume was skipped."""


@dataclass(kw_only=True)
class Summary:
    """What a run made of a folder of volumes."""

    manifest: Path
    pairs: int
    volumes: int
    has_splits: bool
    labelled: list[str] = field(default_factory=list)
    segmented: list[str] = field(default_factory=list)
    private: Path
    """Names the file of every volume; not to be handed on."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Reason by name of the volume."""
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Findings that a volume cannot have, by its name."""


def synthesize(config: SynthesizeConfig, *, progress: bool = True) -> Summary:
    """Render what the output folder lacks, then write the manifest.

    Args:
        config: what to draw, from where, to where.
        progress: show bars over headers and virtual patients.

    Raises:
        DataError: if there is no volume, none could be used, or the output folder is of something else.
    """
    device = resolve_device(config)
    if config.out.resolve().is_relative_to(config.ct.resolve()):
        # Its own NIfTI pairs would be taken for volumes.
        raise DataError(f"--out {config.out} lies in --ct {config.ct}; name a folder elsewhere")
    folder = Folder(config.out, config.format, config.change)
    sources = find_volumes(
        config.ct, folder.pseudonyms(), workers=config.workers or available_cores(), progress=progress
    )
    log.info("%d volume(s) in %s", len(sources), config.ct)
    folder.claim(config)
    digests = {source.name: source.digest(config.ct) for source in sources}
    done = _finished(folder, digests, config)
    _write_private(folder, config, sources, [])
    cores = available_cores()
    workers = config.workers or (cores if device == "cpu" else min(cores, _GPU_WORKERS))
    jobs = _jobs(sources, digests, done, config, workers)
    outcomes = list(_run(jobs, config, device, workers, progress))
    _write_private(folder, config, sources, outcomes)
    return _summarise(folder, config, outcomes, sources)


def resolve_device(config: SynthesizeConfig) -> str:
    """Where rays are cast.

    Raises:
        DataError: if a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise DataError("--device cuda, but torch sees no GPU; use --device cpu")
    return "cuda" if there and config.device != "cpu" else "cpu"


def working_spacing(image_size: int) -> float:
    """Side of a voxel in mm: much finer than a pixel it would only cost time."""
    return 2.0 if image_size <= _FINE_PIXELS else 1.5


def _finished(folder: Folder, digests: Mapping[str, str], config: SynthesizeConfig) -> set[tuple[str, int]]:
    """Virtual patients that need not be rendered again.

    Raises:
        DataError: if a volume of that name is another one by now.
    """
    records = folder.records()
    for record in records:
        if digests.get(record.volume, record.digest) != record.digest:
            if not config.overwrite:
                raise DataError(
                    f"the volume {record.volume} in {config.ct} is not the one its pairs in {config.out} "
                    f"were made from ({PRIVATE} there names its file); name another --out, or replace all "
                    "pairs with --overwrite"
                )
            folder.clear()
            folder.claim(config)
            return set()
    return {(record.volume, record.patient) for record in records}


def _write_private(
    folder: Folder, config: SynthesizeConfig, sources: Sequence[Source], outcomes: Sequence[Outcome]
) -> None:
    reasons = _skipped(outcomes)
    folder.write_private(
        (source.name, source.path(config.ct), reasons.get(source.name, "")) for source in sources
    )


def _skipped(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Reasons by names of the volumes, sorted by name."""
    return dict(sorted((one.volume, one.problem) for one in outcomes if one.problem is not None))


def _jobs(
    sources: Sequence[Source],
    digests: Mapping[str, str],
    done: set[tuple[str, int]],
    config: SynthesizeConfig,
    workers: int,
) -> list[Job]:
    """One for each volume, which is read once; where there are few volumes, processes share each of them."""
    shares = 1 if len(sources) >= workers else -(-workers // len(sources))
    jobs = []
    for source in sources:
        patients = range(config.patients_per_volume)
        missing = [patient for patient in patients if (source.name, patient) not in done]
        parts = [missing[start::shares] for start in range(shares)]
        jobs += [
            Job(source=source, digest=digests[source.name], patients=tuple(part)) for part in parts if part
        ]
    return jobs


def _run(
    jobs: Sequence[Job], config: SynthesizeConfig, device: str, workers: int, progress: bool
) -> Iterator[Outcome]:
    from tqdm import tqdm

    total = sum(len(job.patients) for job in jobs)
    run = partial(run_job, config=config, device=device)
    with tqdm(total=total, desc="rendering", unit="patient", disable=not progress or not jobs) as bar:
        try:
            for _, outcome in in_processes(run, jobs, workers=workers):
                bar.update(outcome.patients)
                yield outcome
        except ProcessDiedError as error:
            raise DataError(
                "a rendering process died, probably of lack of memory; use fewer --workers (what is finished "
                "is kept)"
            ) from error


def run_job(job: Job, config: SynthesizeConfig, device: str) -> Outcome:
    """Read a volume, render some of its virtual patients and write them; a bad volume is an outcome.

    Raises:
        DataError: if the output folder cannot be written.
    """
    count = len(job.patients)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over threads round differently; with one, every machine agrees
    try:
        try:
            spacing, pose = working_spacing(config.image_size), (config.pose.degrees, config.pose.mm)
            thorax = make_thorax(read_volume(job.source), spacing, pose)
        except DataError as error:
            return Outcome(volume=job.source.name, patients=count, problem=str(error))
        possible = possible_findings(thorax)
        folder = Folder(config.out, config.format, config.change)
        for patient in job.patients:
            pairs = render_virtual_patient(thorax, config, possible, job.source.name, patient, device)
            folder.write_patient(job.source.name, patient, job.digest, pairs)
    finally:
        torch.set_num_threads(threads)
    missing = tuple(name for name in FINDINGS if config.findings.of(name) > 0 and name not in possible)
    labelled = LUNGS[0] not in thorax.derived
    return Outcome(volume=job.source.name, patients=count, labelled=labelled, missing=missing)


def _summarise(
    folder: Folder, config: SynthesizeConfig, outcomes: Sequence[Outcome], sources: Sequence[Source]
) -> Summary:
    skipped = _skipped(outcomes)
    wanted = {source.name for source in sources}
    records = [
        record
        for record in folder.records()
        if record.volume in wanted and record.patient < config.patients_per_volume
    ]
    if not records:
        name, reason = next(iter(skipped.items()))
        raise DataError(
            f"none of the {len(sources)} volume(s) in {config.ct} could be used; {name}: {reason} (the files "
            f"are named in {config.out / PRIVATE})"
        )
    splits = _splits(records, config)
    manifest = folder.write_manifest((row for record in records for row in record.rows), splits)
    used = [outcome for outcome in outcomes if outcome.problem is None]
    return Summary(
        manifest=manifest,
        pairs=sum(len(record.rows) for record in records),
        volumes=len({record.volume for record in records}),
        has_splits=splits is not None,
        labelled=sorted({outcome.volume for outcome in used if outcome.labelled}),
        segmented=sorted({outcome.volume for outcome in used if not outcome.labelled}),
        skipped=skipped,
        private=config.out / PRIVATE,
        left_out={outcome.volume: outcome.missing for outcome in used if outcome.missing},
    )


def _splits(records: Sequence[Record], config: SynthesizeConfig) -> dict[str, str] | None:
    """The split of every virtual patient: that of its volume. None where there are too few volumes."""
    volumes = {record.volume for record in records}
    if len(volumes) < _FEWEST_VOLUMES:
        return None
    drawn = draw_splits(
        volumes, val_fraction=config.val_fraction, test_fraction=config.test_fraction, seed=config.split_seed
    )
    return {patient_name(record.volume, record.patient): drawn[record.volume] for record in records}
