"""`python -m gan.export RUN OUT.onnx`: a trained generator as one file that other programs run."""

from data.base.commandline import argv, run_command
from data.base.processes import require_one_process
from gan.export.options import parse


def main() -> None:
    """Parse the command line, export, compare."""
    require_one_process("gan.export")
    config, folder = parse(argv())
    from gan.export.export import export

    for line in export(config, folder):
        print(line)


if __name__ == "__main__":
    run_command(main)
