"""What goes wrong by a user's doing, and how a run that was asked to stop says so."""


class UserError(ValueError):
    """An option, a file, a folder or a run is not what it should be: a user's mistake, not a bug.

    The message is one line that names it and the remedy.
    """


class DataError(UserError):
    """A file, a folder or a manifest is not what it should be.

    The message is one line that names the file (or manifest row) and the remedy.
    """


class Interrupted(Exception):  # noqa: N818  (it is news, not an error)
    """Work was asked to stop by a signal and has saved itself; the message says how to go on."""


def first_line(error: BaseException) -> str:
    """Type and first line of whatever a library raised, to be put into a message of one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
