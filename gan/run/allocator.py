"""How the memory of this process is kept on a CPU."""

import ctypes

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory for the next allocation rather than hand it back to the system.

    A training step frees and asks for the same large activations again and again; pages that were handed
    back are cleared and mapped anew each time, 20,000 of them in a step of the tiny preset. The most memory
    held at once stays the same; what is held between two steps does not fall.

    Returns:
        Whether the C library is one that can (glibc); elsewhere nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    settings = {_MMAP_MAX: 0, _MMAP_THRESHOLD: _LARGEST_THRESHOLD, _TRIM_THRESHOLD: _NEVER}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
