"""What a prepared data set looks like on disk.

    OUT/prepared.json                      what is in it and how it was made; written last
    OUT/train/data-00000-of-00008.arrow    Arrow streams, as Hugging Face `datasets` maps or streams them
    OUT/skipped.csv                        samples left out because a file could not be read

A row is a pair or an image. Each of its pictures is a struct: `pixels` (row by row, little-endian, 8 or 16
bit), `height` and `width` of these pixels, and a `checksum` of all three; `source_height`, `source_width`,
`spacing_mm` and `pixel_aspect` of the file they come from, as it is seen; and `source`, a fingerprint of that
file's path by which a picture in several pairs is known. All other columns are text, as the manifest has
them.
Radiographs and magnitudes are unsigned with the largest value as 1; signed changes are signed with 32767
(127) as 1.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import Change, Framing, Intensity
from data.manifests.records import PAIR_FILES

FORMAT = 1
"""Raise it when older stores can no longer be read."""
INFO = "prepared.json"
Kind = Literal["pairs", "images"]
Bits = Literal[8, 16]
ALIGNMENT = "alignment"
"""Column of how the baseline is laid on the followup (`data.alignment.to_texts`); its pixels are stored as
they were."""
PICTURES: dict[Kind, tuple[str, ...]] = {"pairs": PAIR_FILES, "images": ("image",)}


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """The contents of prepared.json."""

    kind: Kind
    size: int | None
    """Longest (padded) or both (cropped, stretched) sides of the stored pixels; None: those of the files."""
    bits: Bits
    change: Change
    intensity: Intensity
    framing: Framing
    align: bool = False
    """Whether rows say how the baseline is laid on the followup."""
    records: str
    """Fingerprint of the manifest's rows and their splits."""
    shards: dict[str, list[int]]
    """Rows of each shard of each split."""
    columns: Sequence[str] = ("view", "days")
    """Further columns of the manifest; of an older store, which does not name them, these."""
    digest: str = ""
    """Fingerprint of the shards, pixels included."""
    sums: dict[str, list[str]] = field(default_factory=dict)
    """SHA-256 of each shard of each split; an older store has none."""
    format: int = FORMAT

    def count(self, split: str) -> int:
        """Samples of a split."""
        return sum(self.shards.get(split, ()))

    def to_json(self) -> str:
        """The text of prepared.json."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str, place: str) -> "StoreInfo":
        """Read prepared.json back.

        Raises:
            DataError: it is damaged, or of another version.
        """
        try:
            info = cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise DataError(f"{place} is damaged; prepare the data again") from error
        if info.format != FORMAT:
            raise DataError(
                f"{place} is of format {info.format}, this version reads {FORMAT}; prepare the data again"
            )
        return info


def roles_of(kind: Kind) -> tuple[str, ...]:
    """The pictures of a row that are radiographs."""
    return ("baseline", "followup") if kind == "pairs" else ("image",)


def shard_name(number: int, count: int) -> str:
    """File name of a shard within the folder of its split."""
    return f"data-{number:05d}-of-{count:05d}.arrow"


def fingerprint(path: Path) -> str:
    """By which a picture is recognised; nothing of the path can be read from it."""
    return hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()


def features(kind: Kind, further: Sequence[str]) -> Any:
    """Columns of a shard, as `datasets.Features`; `further` ones are text."""
    from datasets import Features, Value

    picture = {
        "pixels": Value("binary"),
        **{name: Value("int32") for name in ("height", "width", "source_height", "source_width")},
        "spacing_mm": [Value("float32")],
        "pixel_aspect": Value("float64"),
        "source": Value("string"),
        "checksum": Value("uint64"),
    }
    text = ("id", "patient_id", *(("findings",) if kind == "pairs" else ()), *further)
    return Features({name: Value("string") for name in text} | dict.fromkeys(PICTURES[kind], picture))


def checksum(pixels: Any, height: int, width: int) -> int:
    """By which stored pixels are known to be as they were written; much faster than they can be read."""
    return xxhash.xxh3_64_intdigest(pixels, seed=height << 32 | width)


def levels(bits: Bits, *, signed: bool) -> int:
    """The integer that stands for 1."""
    return 2 ** (bits - 1) - 1 if signed else 2**bits - 1


def pixel_type(bits: Bits, *, signed: bool) -> np.dtype[Any]:
    """How a pixel is stored."""
    return np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")


def encode(values: NDArray[np.float32], bits: Bits, *, signed: bool) -> bytes:
    """Pixels of a picture in `[0, 1]` or, signed, `[-1, 1]`, rounded to what `bits` can hold."""
    return (
        np.rint(values * np.float32(levels(bits, signed=signed)))
        .astype(pixel_type(bits, signed=signed))
        .tobytes()
    )


def decode(pixels: Any, height: int, width: int, bits: Bits, *, signed: bool) -> NDArray[np.float32]:
    """Undo `encode`: float32 `[height, width]`; `pixels` is any buffer."""
    stored = np.frombuffer(pixels, pixel_type(bits, signed=signed)).reshape(height, width)
    return np.divide(stored, np.float32(levels(bits, signed=signed)), dtype=np.float32)
