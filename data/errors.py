"""The one exception of this package that is a user's mistake, not a bug."""


class DataError(ValueError):
    """A file, a folder or a manifest is not what it should be.

    The message is one line that names the file (or manifest row) and the remedy.
    """
