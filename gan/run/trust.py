"""Which runs were started here: what their options name may be imported again without being asked."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from data.base.atomic import write_text
from data.base.errors import UserError
from gan.run.directory import RunDir
from gan.run.options import StageConfig
from gan.run.plugins import is_ours


def foreign_code(config: StageConfig) -> list[str]:
    """What options name outside of our own packages."""
    named = [getattr(config, name, "") for name in ("encoder", "generator", "discriminator")]
    return [spec for spec in (*named, *getattr(config, "extra_loss", ())) if spec and not is_ours(spec)]


def require_trust(config: StageConfig) -> None:
    """Refuse to import what the options of a run that came from elsewhere name, unless asked to.

    Raises:
        UserError: naming it.
    """
    named = foreign_code(config)
    if config.resume is None or not named or config.trust_remote_code or started_here(RunDir(config.resume)):
        return
    raise UserError(
        f"--resume {config.resume} was not started here and wants code of its own to be run "
        f"({', '.join(named)}); if you trust it, add --trust-remote-code"
    )


def remember(run: RunDir) -> None:
    """Know this run again; only of use where its options name code of the user's own."""
    token = secrets.token_hex(16)
    with suppress(OSError):  # where a user has no home, resuming asks
        _known().mkdir(parents=True, exist_ok=True)
        (_known() / token).touch()
        write_text(run.origin, token)


def started_here(run: RunDir) -> bool:
    """Whether this user started the run, wherever it lies by now."""
    try:
        token = run.origin.read_text()
        return token.isalnum() and (_known() / token).is_file()
    except (OSError, ValueError):
        return False


def _known() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "radiograph-change-gan" / "runs"
