"""CT volumes -> pairs on disk, in several processes or on several machines."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from data.base.engines import Engine, engine_of
from data.base.errors import DataError
from data.base.processes import available_cores, one_thread
from data.findings import FINDINGS, LUNGS
from data.manifests.splits import draw_splits
from data.manifests.writing import write_manifest
from data.simulation.findings.volume import possible_findings
from data.simulation.volumes.files import Source, find_volumes, read_volume
from data.simulation.volumes.thorax import make_thorax
from data.synthesize.options import SynthesizeConfig
from data.synthesize.output import (
    MANIFEST,
    PRIVATE,
    claimed,
    finished,
    output_of,
    pseudonyms,
    write_patient,
    write_private,
)
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
    engine = _engine_of(config)
    if config.out.resolve().is_relative_to(config.ct.resolve()):
        # Its own NIfTI pairs would be taken for volumes.
        raise DataError(f"--out {config.out} lies in --ct {config.ct}; name a folder elsewhere")
    sources = find_volumes(config.ct, pseudonyms(config), engine=engine, progress=progress)
    log.info("%d volume(s) in %s", len(sources), config.ct)
    with claimed(config):
        return _complete(sources, config, engine, progress)


def _engine_of(config: SynthesizeConfig) -> Engine:
    """Where patients are rendered: for a GPU of this machine, a few processes are enough."""
    fewer = config.cluster is None and not config.workers and resolve_device(config) == "cuda"
    return engine_of(min(available_cores(), _GPU_WORKERS) if fewer else config.workers, config.cluster)


def _complete(sources: Sequence[Source], config: SynthesizeConfig, engine: Engine, progress: bool) -> Summary:
    """Render what is missing and write down what is there."""
    digests = {source.name: source.digest(config.ct) for source in sources}
    done = _finished(digests, config)
    write_private(config, sources, {})
    jobs = _jobs(sources, digests, done, config, engine.workers)
    outcomes = _run(jobs, config, engine, progress)
    skipped = dict(sorted((one.volume, one.problem) for one in outcomes if one.problem is not None))
    write_private(config, sources, skipped)
    return _summarise(config, outcomes, skipped, sources)


def resolve_device(config: SynthesizeConfig) -> str:
    """Where this machine casts rays.

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


def _finished(digests: Mapping[str, str], config: SynthesizeConfig) -> set[tuple[str, int]]:
    """Virtual patients that need not be rendered again.

    Raises:
        DataError: if a volume of that name is another one by now.
    """
    records = finished(config)
    for record in records:
        if digests.get(record.volume, record.digest) != record.digest:
            if not config.overwrite:
                raise DataError(
                    f"the volume {record.volume} in {config.ct} is not the one its pairs in {config.out} "
                    f"were made from ({PRIVATE} there names its file); name another --out, or replace all "
                    "pairs with --overwrite"
                )
            output_of(config).clear()
            return set()
    return {(record.volume, record.patient) for record in records}


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


def _run(jobs: Sequence[Job], config: SynthesizeConfig, engine: Engine, progress: bool) -> list[Outcome]:
    outcomes = []
    total = sum(len(job.patients) for job in jobs)
    with tqdm(total=total, desc="rendering", unit="patient", disable=not progress or not jobs) as bar:
        for number, outcome in engine.run(partial(run_job, config), jobs):
            bar.update(len(jobs[number].patients))
            outcomes.append(outcome)
    return outcomes


@one_thread()
def run_job(config: SynthesizeConfig, job: Job) -> Outcome:
    """Read a volume, render some of its virtual patients and write them; a bad volume is an outcome.

    Raises:
        DataError: if the output folder cannot be written, or a GPU is asked for and this machine has none.
    """
    name, device = job.source.name, resolve_device(config)
    try:
        spacing, pose = working_spacing(config.image_size), (config.pose.degrees, config.pose.mm)
        thorax = make_thorax(read_volume(job.source), spacing, pose)
    except DataError as error:
        return Outcome(volume=name, problem=str(error))
    possible = possible_findings(thorax)
    for patient in job.patients:
        pairs = render_virtual_patient(thorax, config, possible, name, patient, device)
        write_patient(config, name, patient, job.digest, pairs)
    missing = tuple(
        finding for finding in FINDINGS if config.findings.of(finding) > 0 and finding not in possible
    )
    return Outcome(volume=name, labelled=LUNGS[0] not in thorax.derived, missing=missing)


def _summarise(
    config: SynthesizeConfig,
    outcomes: Sequence[Outcome],
    skipped: dict[str, str],
    sources: Sequence[Source],
) -> Summary:
    wanted = {source.name for source in sources}
    records = [
        record
        for record in finished(config)
        if record.volume in wanted and record.patient < config.patients_per_volume
    ]
    if not records:
        name, reason = next(iter(skipped.items()))
        raise DataError(
            f"none of the {len(sources)} volume(s) in {config.ct} could be used; {name}: {reason} (the files "
            f"are named in {config.out / PRIVATE})"
        )
    volumes = {record.volume for record in records}
    splits = draw_splits(volumes, config) if len(volumes) >= _FEWEST_VOLUMES else {}
    manifest = config.out / MANIFEST
    write_manifest(
        manifest,
        [{**row, "split": splits.get(record.volume)} for record in records for row in record.rows],
    )
    used = [outcome for outcome in outcomes if outcome.problem is None]
    return Summary(
        manifest=manifest,
        pairs=sum(len(record.rows) for record in records),
        volumes=len(volumes),
        has_splits=bool(splits),
        labelled=sorted({outcome.volume for outcome in used if outcome.labelled}),
        segmented=sorted({outcome.volume for outcome in used if not outcome.labelled}),
        skipped=skipped,
        private=config.out / PRIVATE,
        left_out={outcome.volume: outcome.missing for outcome in used if outcome.missing},
    )
