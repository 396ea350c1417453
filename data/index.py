"""`python -m data.index ROOT OUT`: a data set as it was downloaded or exported -> manifests.

OUT/images.csv lists every image (`id, patient_id, image, split, view`), OUT/pairs.csv pairs of consecutive
studies of one patient in the same view (`id, patient_id, baseline, followup, split, view, days`, and `target`
where the data has one). Official splits are kept and missing ones drawn by patient. Dates never leave the
data set, days between two studies do.

With `--key`, which a tree of DICOM files needs, patients, studies and images get pseudonyms and the manifests
name links below OUT/files, so that neither tags nor folder names travel on. Where the links point to, and
OUT/refused.private.csv, are not for sharing.
"""

from data.commandline import argv, run_command, tyro_parse
from data.indexing.config import IndexConfig


def main() -> None:
    """Parse the command line, index, say what was found."""
    config = tyro_parse(IndexConfig, argv(), prog="python -m data.index")
    from data.indexing import index  # pyarrow is imported from here on

    for line in index(config).lines():
        print(line)


if __name__ == "__main__":
    run_command(main)
