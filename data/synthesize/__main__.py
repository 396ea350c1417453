"""`python -m data.synthesize --ct DIR --out DIR`: CT volumes -> radiograph pairs whose change is known.

Volumes get pseudonyms, ct0001 and so on. OUT/volumes.private.csv says which file each is of and why it was
skipped, and keeps the pseudonyms from run to run; it is not for sharing.
"""

from typing import TYPE_CHECKING

from data.base.commandline import argv, run_command, tyro_parse
from data.synthesize.options import SynthesizeConfig

if TYPE_CHECKING:
    from data.synthesize.collection import Summary


def main() -> None:
    """Parse the command line, render, write, say what became of every volume."""
    config = tyro_parse(SynthesizeConfig, argv(), prog="python -m data.synthesize")
    import logging

    log = logging.getLogger("data")  # not the root: other libraries' logs repeat what headers hold
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    from data.synthesize.collection import synthesize  # torch is imported from here on

    for line in describe(synthesize(config)):
        print(line)


def describe(summary: "Summary") -> list[str]:
    """What a run made, in lines for its user."""
    rendered = len(summary.labelled) + len(summary.segmented)
    lines = [f"{summary.pairs} pairs of {summary.volumes} volume(s) in {summary.manifest}"]
    if rendered:
        lines.append(
            f"rendered now: {len(summary.labelled)} volume(s) with a label map, {len(summary.segmented)} "
            "without one, whose lungs, heart region and bones were found in the CT"
        )
    lines += [
        f"{volume}: without {', '.join(findings)}, for lack of the structures they lie in"
        for volume, findings in sorted(summary.left_out.items())
    ]
    lines += [f"skipped {volume}: {reason}" for volume, reason in summary.skipped.items()]
    lines.append(f"{summary.private} names the file of every volume; it is private")
    if not summary.has_splits:
        lines.append(
            "WARNING: no split column: fewer than 3 volumes cannot be split by volume. Training will split "
            "by virtual patient (at least 3, see --patients-per-volume) and test on the CTs it was trained "
            "on: scores will be too good. Add volumes."
        )
    lines.append(f"train on it: python -m gan.adversarial --data.path {summary.manifest}")
    return lines


if __name__ == "__main__":
    run_command(main)
