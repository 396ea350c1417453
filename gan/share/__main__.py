"""`python -m gan.share RUN OWNER/NAME --licence LICENCE`: a trained generator on the hub, with its card."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from data.base.commandline import argv, run_command, tyro_parse
from data.base.errors import UserError
from data.base.processes import require_one_process
from gan.run.directory import RunDir
from gan.run.generator import generator_place

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(kw_only=True)
class ShareConfig:
    """Put a run's generator on the hub, with a model card written from the run."""

    run: tyro.conf.Positional[Path]
    """A finished run of gan.adversarial."""
    name: tyro.conf.Positional[str]
    """What it is called on the hub, OWNER/NAME."""
    licence: Annotated[str, tyro.conf.arg(aliases=["--license"])]
    """Of the weights, as the hub writes it: mit, apache-2.0, cc-by-nc-4.0, other, ... What the data allows is
    for you to know."""
    evaluation: Path | None = None
    """The folder of a gan.evaluate of this run, whose numbers the card tells; by default those at the end of
    the run."""
    out: Path | None = None
    """Write what would be put there to this new folder, and send nothing."""
    private: bool = False
    """For you alone, where it is not there yet."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"{self.name} is no name on the hub; write OWNER/NAME")
        if not _LICENCE.fullmatch(self.licence):
            raise UserError(
                f"--licence {self.licence}: write it as the hub does: mit, cc-by-nc-4.0, other, ..."
            )


def main() -> None:
    """Parse the command line, write the card, send."""
    require_one_process("gan.share")
    config = tyro_parse(ShareConfig, argv(), prog="python -m gan.share")
    run = RunDir(config.run)
    if not run.config.is_file():
        raise UserError(f"{config.run} is no run: it has no config.yaml; name a run of gan.adversarial")
    if generator_place(config.run) != run.generator:
        raise UserError(f"{config.run} has no generator/; name a finished run of gan.adversarial")
    if config.out is not None and config.out.exists():
        raise UserError(f"--out {config.out} is taken; name a new folder")
    from gan.share.push import share

    print(share(run, config.name, config.licence, config.evaluation, out=config.out, private=config.private))


if __name__ == "__main__":
    run_command(main)
