"""What is put on the hub: the folder of a generator, and its card."""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from data.base.atomic import whole_folder
from data.base.errors import UserError, first_line
from gan.run.directory import SUMS, RunDir
from gan.run.generator import FILES
from gan.run.handover import require_intact
from gan.share.card import card_of

_CARD = "README.md"


def share(
    run: RunDir, name: str, licence: str, evaluation: Path | None, *, out: Path | None, private: bool
) -> str:
    """Put a run's generator on the hub, or into a folder.

    Args:
        run: a run of adversarial training.
        name: `owner/name` on the hub.
        licence: of the weights.
        evaluation: a folder of `gan.evaluate`; None for the numbers at the end of the run.
        out: a folder to write to instead.
        private: whether a repository that is made here is.

    Returns:
        Where it is.

    Raises:
        UserError: a file of the generator is damaged, the numbers are not there, or the hub refuses.
    """
    require_intact(run.generator)
    card = card_of(run, name, licence, evaluation)
    if out is not None:
        with whole_folder(out) as part:
            _fill(part, run, card)
        return str(out)
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), run, card)
        return _push(Path(folder), name, private=private)


def _fill(folder: Path, run: RunDir, card: str) -> None:
    for name in FILES:
        if (run.generator / name).is_file():
            shutil.copyfile(run.generator / name, folder / name)
    if (sums := run.generator / SUMS).is_file():  # which knows another card
        lines = [line for line in sums.read_text().splitlines(keepends=True) if _CARD not in line]
        (folder / SUMS).write_text("".join(lines))
    (folder / _CARD).write_text(card, encoding="utf-8")


def _push(folder: Path, name: str, *, private: bool) -> str:
    try:
        api = HfApi()
        place = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Generator and model card")
    except Exception as error:  # whatever the hub or the network raises
        raise UserError(
            f"{name} is not to be written on the hub ({first_line(error)}); log in with `hf auth login`, or "
            "write a folder with --out"
        ) from error
    return str(place)
