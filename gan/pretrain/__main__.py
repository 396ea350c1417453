"""`python -m gan.pretrain`: masked reconstruction of radiographs trains the encoder."""

from data.base.commandline import argv, run_command
from gan.pretrain.options import PRESETS
from gan.run.commandline import parse


def main() -> None:
    """Parse the command line and run the stage."""
    config = parse(argv(), prog="python -m gan.pretrain", presets=PRESETS)
    from gan.pretrain.stage import pretrain  # torch is imported from here on

    pretrain(config)


if __name__ == "__main__":
    run_command(main)
