"""`python -m data.index ROOT OUT`: a data set as it was downloaded or exported -> manifests.

OUT/images.csv lists every image (`id, patient_id, image, split, view`, and a column a published label, mask
or kind of box), OUT/pairs.csv pairs of consecutive studies of one patient in the same view, or those that the
data set names itself (`id, patient_id, baseline, followup, split, view, days`, and `target`,
`target_baseline` or `changes` where the data has them). Official splits are kept and missing ones drawn by
patient; patients who may be one person stay together. Dates never leave the data set, days between two
studies do.

With `--key`, which trees of DICOM files or of cases need, patients, studies and images get pseudonyms and the
manifests name links below OUT/files, so that neither tags nor folder names travel on. Where the links point
to, and OUT/refused.private.csv, are not for sharing.
"""

from data.base.commandline import argv, run_command, tyro_parse
from data.base.errors import UserError
from data.index.options import IndexConfig


def main() -> None:
    """Parse the command line, index, say what was found."""
    config = tyro_parse(IndexConfig, argv(), prog="python -m data.index")
    from data.index.indexer import index  # pyarrow is imported from here on

    try:
        summary = index(config)
    except OSError as error:  # which names a file, whose path may name a patient
        reason = error.strerror or type(error).__name__
        raise UserError(f"{reason}; see that all of ROOT can be read and OUT be written") from None
    for line in summary.lines():
        print(line)


if __name__ == "__main__":
    run_command(main)
