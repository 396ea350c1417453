"""`python -m gan.predict RUN BASELINE FOLLOWUP -o MAP.png`: what changed between two radiographs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from data.base.commandline import argv, run_command, tyro_parse
from data.base.errors import UserError
from data.base.processes import require_one_process
from gan.predict.place import overlay_path
from gan.run.generator import generator_folder

OUTPUT_SUFFIXES = (".png", ".npy", ".nii", ".nii.gz")  # data.files.maps.WRITABLE, which would import NumPy


@dataclass(kw_only=True)
class PredictConfig:
    """Map what changed between two radiographs of one patient, in the followup's own pixels."""

    run: tyro.conf.Positional[Path]
    """A finished run of gan.adversarial, its generator/ folder, or a hub id."""
    baseline: tyro.conf.Positional[Path]
    """The earlier radiograph."""
    followup: tyro.conf.Positional[Path]
    """The later radiograph."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the map goes: .png (16 bit: 0..65535 is 0..1; signed maps: 1, 32768, 65535 are -1, 0, 1), .npy
    or .nii.gz (float32).
    The overlay is written beside it as NAME_overlay.png."""
    align: bool = True
    """Lay the baseline on the followup before, where a good fit is found; models trained without it gain from
    it as well."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    trust_remote_code: bool = False
    """Import the generator's class where it is not one of ours: code of whoever made the run is executed."""


def main() -> None:
    """Parse the command line, predict, write."""
    require_one_process("gan.predict")
    config = tyro_parse(PredictConfig, argv(), prog="python -m gan.predict")
    if not config.output.name.endswith(OUTPUT_SUFFIXES):
        raise UserError(f"--output {config.output}: end it in one of {', '.join(OUTPUT_SUFFIXES)}")
    folder = generator_folder(config.run)
    radiographs = {config.baseline.resolve(), config.followup.resolve()}
    for written in (config.output, overlay_path(config.output)):
        if written.resolve() in radiographs:
            raise UserError(
                f"--output {config.output}: {written} is one of the radiographs; name another file"
            )
    import torch

    from gan.predict.pair import predict_files
    from gan.run.change_model import ChangeModel

    device = "cpu" if config.cpu or not torch.cuda.is_available() else "cuda"
    model = ChangeModel.load(folder, device=device, trust_remote_code=config.trust_remote_code)
    model = replace(model, preprocessing=replace(model.preprocessing, align=config.align))
    for path in predict_files(model, config.baseline, config.followup, config.output):
        print(path)


if __name__ == "__main__":
    run_command(main)
