"""`python -m gan.predict MODEL BASELINE FOLLOWUP -o MAP.png`: what changed between two radiographs."""

from data.base.commandline import argv, run_command
from data.base.processes import require_one_process
from gan.predict.options import parse


def main() -> None:
    """Parse the command line, predict, write."""
    require_one_process("gan.predict")
    task = parse(argv())
    from gan.predict.predict import predict

    predict(task)


if __name__ == "__main__":
    run_command(main)
