"""The files that hold the data of a run: what they were when it began, and which of them are others now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.base.contents import Contents, look_at
from data.base.errors import UserError
from data.sources import OnFiles, Split
from gan.run.directory import RunDir

_NAMED = 3


@dataclass
class DataFiles:
    """The files of all splits; the main process alone looks at them.

    Args:
        contents: what they hold.
        directory: the run that keeps this in mind.
    """

    contents: Contents
    directory: RunDir

    @classmethod
    def of(cls, splits: Mapping[str, Split[Any]], directory: RunDir) -> "DataFiles":
        """Those of some splits as they are now."""
        found = (split.files for split in splits.values() if isinstance(split, OnFiles))
        return cls(look_at(list(dict.fromkeys(path for files in found for path in files))), directory)

    def require_those_of_the_start(self) -> None:
        """Refuse to go on with files that are others than when the run began.

        Raises:
            UserError: naming some of them.
        """
        if not self.directory.files.is_file():
            return  # a run from before they were kept in mind
        begun = Contents.read(self.directory.files)
        if changed := begun.changed(self.contents):
            raise UserError(
                f"--resume {self.directory.path}: {_said(changed, begun)} since the run began; put back what "
                "they were, or start a new run"
            )
        self.contents = begun

    def write(self) -> None:
        """Keep in mind what they are now."""
        if not self.directory.files.is_file():
            self.contents.write(self.directory.files)

    def warning(self) -> str:
        """Which of them changed since the last time they were looked at; empty where none did."""
        now = look_at(self.contents.paths)
        changed, before, self.contents = self.contents.changed(now), self.contents, now
        if not changed:
            return ""
        return f"WARNING: {_said(changed, before)} while the run was reading it; --resume will refuse them"


def _said(changed: Sequence[str], of: Contents) -> str:
    named = ", ".join(changed[:_NAMED]) + (", ..." if len(changed) > _NAMED else "")
    return f"{len(changed)} of the {len(of.paths)} files of the data changed ({named})"
