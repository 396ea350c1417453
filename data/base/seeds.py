"""Seeds: everything random is a function of where the run is, never of how it got there."""

import hashlib


def fold_seed(*parts: int | str) -> int:
    """One 63-bit seed from the run's seed and whatever else tells two draws apart.

    The same on every machine and in every process, unlike Python's own hash.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
