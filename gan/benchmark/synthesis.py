"""What `gan.benchmark` measures of synthesis: pairs from CT, against the bare projections in them."""

import cProfile
import pstats
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from data.base.processes import in_processes
from data.simulation.findings.volume import possible_findings
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.ct import find_ct
from data.simulation.volumes.files import Source, read_volume
from data.simulation.volumes.phantom import make_phantom
from data.simulation.volumes.thorax import make_thorax
from data.synthesize.options import SynthesizeConfig
from data.synthesize.output import write_patient
from data.synthesize.scenes import render_virtual_patient

PATIENTS = {"the CT as it is": 0, "a deformed patient": 1}
ATTEMPTS = 3


def measure_synthesis() -> Iterator[str]:
    """Pairs a second of one core at 256 px, and what nanodrr alone takes of the time for the same rays."""
    ((_, lines),) = in_processes(measure_patients, [PATIENTS], workers=1, isolate=True)
    yield from lines


def measure_patients(patients: dict[str, int]) -> list[str]:
    """A line for each virtual patient, the best of a few attempts."""
    torch.set_num_threads(1)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        config = SynthesizeConfig(ct=Path(folder), out=Path(folder) / "out")
        name, thorax = find_thorax(config)
        for patient, number in patients.items():
            outs = [Path(folder) / f"{number}_{attempt}" for attempt in range(ATTEMPTS)]
            whole, rays = min(render(thorax, config, out, number) for out in outs)
            pairs = config.pairs_per_patient
            lines.append(
                f"synthesis at {config.image_size} px from {name}, {patient}: {pairs / whole:.2f} pairs a "
                f"second on one core, nanodrr alone for the same rays {pairs / rays:.2f}, "
                f"{whole / rays - 1:.0%} on top"
            )
    return lines


def find_thorax(config: SynthesizeConfig) -> tuple[str, Anatomy]:
    """The chest CT, or the phantom where it is not installed."""
    folder = find_ct()
    if folder is None:
        return "the phantom", make_phantom(2.0)
    scan = read_volume(Source(name="ct", files=(folder / "cxr.nii.gz",)))
    return "the chest CT", make_thorax(scan, 2.0, (config.pose.degrees, config.pose.mm))


def render(thorax: Anatomy, config: SynthesizeConfig, out: Path, patient: int) -> tuple[float, float]:
    """CPU seconds of the pairs of one virtual patient, written to files, and of nanodrr's part in them."""
    begun = time.process_time()
    with cProfile.Profile(time.process_time) as profile:
        possible = possible_findings(thorax)
        pairs = render_virtual_patient(thorax, config, possible, "ct", patient, "cpu")
        write_patient(replace(config, out=out), "ct", patient, "digest", pairs)
    whole = time.process_time() - begun
    return whole, pstats.Stats(profile).get_stats_profile().func_profiles["cast_rays"].cumtime
