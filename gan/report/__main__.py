"""`python -m gan.report RUN [RUN ...]`: what runs were, did and came to, as one HTML file."""

from data.base.commandline import argv, run_command
from data.base.processes import require_one_process
from gan.report.options import free_file, parse


def main() -> None:
    """Parse the command line, collect, write."""
    require_one_process("gan.report")
    config, folders = parse(argv())
    out = free_file(config)
    from gan.report.report import write_report

    write_report(config, folders, out)
    print(out)


if __name__ == "__main__":
    run_command(main)
