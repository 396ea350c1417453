"""Read the files named on standard input, one a line; say what came of each, in JSON, one a line.

A program of its own, so that a decoder that ends the process is seen, and by which file.
"""

import json
import resource
import sys
import time
from pathlib import Path

from data import DataError
from data.files.images import read_image


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcome(path: Path) -> dict:
    try:
        pixels = read_image(path)
    except DataError as error:
        return {"error": str(error)}
    assert pixels.dtype == "float32"
    assert pixels.ndim == 2
    assert 0 <= pixels.min() <= pixels.max() <= 1
    return {"shape": pixels.shape}


def main() -> None:
    warm, *paths = (Path(line) for line in sys.stdin.read().splitlines())
    for path in sorted(warm.iterdir()):  # what importing the decoders takes is no file's fault
        read_image(path)
    for path in paths:
        print(json.dumps({"path": str(path)}), flush=True)
        before, start = peak_mib(), time.process_time()  # other processes may keep this one waiting
        found = outcome(path)
        found |= {"seconds": time.process_time() - start, "mib": peak_mib() - before}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
