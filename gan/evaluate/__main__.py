"""`python -m gan.evaluate RUN [RUN ...] --data.*`: how good trained generators are on any data."""

from data.base.commandline import argv, run_command
from gan.evaluate.options import free_folder, parse


def main() -> None:
    """Parse the command line, judge, write."""
    config, folders = parse(argv())
    out = free_folder(config)
    from gan.evaluate.evaluate import evaluate

    evaluate(config, folders, out)


if __name__ == "__main__":
    run_command(main)
