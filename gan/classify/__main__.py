"""`python -m gan.classify`: which findings a radiograph shows, on a pretrained encoder or from scratch."""

from dataclasses import replace

from data.base.commandline import argv, run_command
from gan.classify.options import PRESETS
from gan.run.commandline import parse
from gan.run.directory import find_pretrained


def main() -> None:
    """Parse the command line and run the stage."""
    config = parse(argv(), prog="python -m gan.classify", presets=PRESETS)
    pretrained = find_pretrained(config.pretrained)
    if pretrained is not None:  # config.yaml names the run that was used, not "auto"
        config = replace(config, pretrained=str(pretrained.path))
    from gan.classify.stage import classify  # torch is imported from here on

    classify(config, pretrained)


if __name__ == "__main__":
    run_command(main)
