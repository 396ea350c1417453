"""Pseudonyms: names that say nothing, the same for the same key, and not to be undone without it.

Source: HMAC, RFC 2104, with SHA-256; keyed hashing of identifiers as in DICOM PS3.15 Annex E.
"""

import hmac
import secrets
from pathlib import Path

from data.base.atomic import open_new
from data.base.errors import DataError

_KEY_BYTES = 32
_DIGITS = 16  # 64 bits: two of a million names meet with a probability of 3e-8


def load_key(path: Path) -> bytes | None:
    """The key that a file holds, or None where there is no such file.

    Raises:
        DataError: the file cannot be read, or holds something else, which is not repeated.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"--key {path} cannot be read ({error.strerror}); make it readable, as another "
            "key gives other pseudonyms"
        ) from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataError(
            f"--key {path} holds no key of {2 * _KEY_BYTES} hexadecimal digits; "
            "name another file, or a new one to have a key made"
        )
    return key


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(_KEY_BYTES)


def save_key(path: Path, key: bytes) -> None:
    """Keep a key in a new file that only its owner can read.

    Raises:
        DataError: the file cannot be written; none is left then.
    """
    try:
        with open_new(path, private=True) as file:
            try:
                file.write(key.hex() + "\n")
                file.flush()
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise DataError(f"--key {path} cannot be written ({error.strerror}); name another file") from None


def pseudonym(key: bytes, *parts: str) -> str:
    """16 hexadecimal digits for one thing; `parts` say what kind of thing it is, and which one.

    Every part is preceded by its length, so that no two lists of parts give the same message.
    """
    encoded = [part.encode("utf-8", "backslashreplace") for part in parts]
    message = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return hmac.digest(key, message, "sha256").hex()[:_DIGITS]
