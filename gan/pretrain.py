"""`python -m gan.pretrain`: masked reconstruction of radiographs trains the encoder."""

from gan.cli import argv, parse
from gan.config import pretrain_preset
from gan.errors import run_command


def main() -> None:
    """Parse the command line and run the stage."""
    config = parse(argv(), prog="python -m gan.pretrain", preset=pretrain_preset)
    from gan.pretraining import pretrain  # torch is imported from here on

    pretrain(config)


if __name__ == "__main__":
    run_command(main)
