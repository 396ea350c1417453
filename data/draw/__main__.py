"""`python -m data.draw IMAGES OUT`: pairs with exact targets out of radiographs, findings drawn into them."""

from data.base.commandline import argv, run_command, tyro_parse
from data.draw.options import DrawConfig

SHOWN = 20
"""Radiographs left out that are named on the screen; all of them are in a file."""


def main() -> None:
    """Parse the command line, draw, say what came of it."""
    config = tyro_parse(DrawConfig, argv(), prog="python -m data.draw")
    from data.draw.output import SKIPPED
    from data.draw.run import draw

    outcome = draw(config)
    print(f"{outcome.manifest}: {outcome.pairs} pairs of {outcome.images} radiographs")
    skipped = outcome.skipped
    if skipped:
        print(f"left out {len(skipped)} radiographs, all named in {config.out / SKIPPED}:")
        for line in skipped[:SHOWN]:
            print(f"  {line}")


if __name__ == "__main__":
    run_command(main)
