"""What a run hands on: a network with its weights and how it must be fed, in a folder that says all of it."""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from torch import nn

from data.base.atomic import give_usual_permissions, whole_folder
from data.base.errors import UserError, first_line
from data.config import Change, DataConfig, Framing, Intensity
from gan.run.directory import PREPROCESSING, SUMS, WEIGHTS, RunDir
from gan.run.disk import named_if_not_written
from gan.run.loaders import Split
from gan.run.plugins import is_ours, network_class
from networks import PretrainedModel

ANY = "*"
"""Whatever a folder names: this process made it, or its user trusts it."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How radiographs become what a network was trained on, and what comes out."""

    network: str
    """Its class, `pkg.mod:Class`."""
    image_size: int
    """Side of the square images it sees, in pixels."""
    framing: Framing
    """How radiographs become square."""
    intensity: Intensity
    """How stored values become grey in `[0, 1]`."""
    change: Change
    """What its maps mean, where it maps changes."""
    align: bool = False
    """Whether baselines were laid on their followups."""

    @classmethod
    def of(cls, network: str, data: DataConfig) -> "Preprocessing":
        """That of a network trained on `data`."""
        return cls(
            network=network,
            image_size=data.image_size,
            framing=data.framing,
            intensity=data.intensity,
            change=data.change,
            align=data.align,
        )


def save_network(model: Any, folder: Path, preprocessing: Preprocessing) -> None:
    """Write `config.json`, `model.safetensors`, `preprocessing.json` and their SHA256SUMS, all at once.

    A class of the user's own without `save_pretrained` has no `config.json`.
    """
    with whole_folder(folder) as part, named_if_not_written(folder):
        if hasattr(model, "save_pretrained"):
            model.save_pretrained(part)
        else:
            save_model(model, str(part / WEIGHTS))
        (part / PREPROCESSING).write_text(json.dumps(asdict(preprocessing), indent=2) + "\n")
        written = sorted(path for path in part.iterdir() if path.is_file())
        (part / SUMS).write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in written))
        give_usual_permissions(part)


def load_network(folder: Path, *, trusted: str = "") -> tuple[nn.Module, Preprocessing]:
    """A saved network, in eval mode, and how it must be fed.

    Args:
        folder: what `save_network` wrote, here or elsewhere.
        trusted: the class outside of `networks` that may be imported, or `ANY` of those the folder names.

    Raises:
        UserError: files are missing, broken or not what was written, or its class is not to be had or not
            trusted.
    """
    require_intact(folder)
    try:
        preprocessing = Preprocessing(**json.loads((folder / PREPROCESSING).read_text()))
        if not is_ours(preprocessing.network) and trusted not in (ANY, preprocessing.network):
            raise UserError(
                f"{folder} wants code of its own to be run ({preprocessing.network}); if you trust it, add "
                "--trust-remote-code"
            )
        cls = network_class(preprocessing.network, str(folder))
        if hasattr(cls, "from_pretrained"):
            # Its encoder may be a class of the user's own, as it may be itself.
            trust = {"trust_remote_code": trusted == ANY} if issubclass(cls, PretrainedModel) else {}
            return cls.from_pretrained(folder, **trust).eval(), preprocessing
        model = cls()
        load_model(model, folder / WEIGHTS, strict=True)
    except UserError:
        raise
    except Exception as error:  # safetensors, json and torch raise all kinds for a broken file
        raise UserError(f"{folder} is not a saved {folder.name} ({first_line(error)})") from error
    return model.eval(), preprocessing


def require_intact(folder: Path) -> None:
    """Refuse a saved network of which a file is not what was written, where SHA256SUMS says what that was.

    Raises:
        UserError: naming the file.
    """
    try:
        written = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
        damaged = next((name for digest, name in written if sha256_of(folder / name) != digest), None)
    except FileNotFoundError as error:
        if str(error.filename) == str(folder / SUMS):
            return
        damaged = Path(error.filename).name
    except (OSError, ValueError):
        damaged = SUMS
    if damaged is not None:
        raise UserError(
            f"{folder / damaged} is damaged or was changed; copy it again, or delete {SUMS} beside it if "
            "the change is yours"
        )


def sha256_of(path: Path) -> str:
    """Of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_encoder(run: RunDir, spec: str) -> nn.Module:
    """The encoder that a pretraining run trained; `spec` is the class that `--encoder` names.

    Raises:
        UserError: the files are not an encoder.
    """
    try:
        return load_network(run.encoder, trusted=spec)[0]
    except UserError as error:
        remedy = "; name its --encoder" if "--trust-remote-code" in str(error) else "; run gan.pretrain again"
        raise UserError(str(error).partition("; if you trust")[0] + remedy) from error


def weights_digest(run: RunDir) -> str:
    """Sixteen hexadecimal digits that tell one pretrained encoder from another."""
    return sha256_of(run.encoder / WEIGHTS)[:16]


def seen_by(run: RunDir, splits: Mapping[str, Split]) -> str:
    """A warning where patients held out now are of the names of some that a pretraining run trained on.

    Empty where there are none, or where nobody knows.
    """
    if not run.split.is_file():
        return ""
    with run.split.open(newline="") as file:
        trained_on = {row["patient_id"] for row in csv.DictReader(file) if row["split"] == "train"}
    others = [split for name, split in splits.items() if name != "train"]
    held_out = {patient for split in others for patient in split.patients or ()}
    seen = sorted(trained_on & held_out)
    if not seen:
        return ""
    return (
        f"WARNING: {len(seen)} of the {len(held_out)} patients held out here (such as {seen[0]}) were "
        f"trained on by the pretraining {run.path}: the final numbers will be too good. Split both runs "
        "alike: the same --data.split-seed and fractions, or splits named in the manifest."
    )


def transfer_encoder(pretrained: nn.Module, model: nn.Module, place: str) -> None:
    """Copy every tensor of a pretrained encoder, which comes from `place`, into the model's.

    Raises:
        UserError: the model has no encoder, or one of another shape.
    """
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise UserError(
            f"{type(model).__name__} has no attribute encoder to load into; add --pretrained none"
        )
    weights = pretrained.state_dict()
    theirs = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    ours = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    if theirs != ours:
        name = next(n for n in sorted(theirs | ours) if theirs.get(n) != ours.get(n))
        shapes = f"{name}: {theirs.get(name, 'absent')} there, {ours.get(name, 'absent')} here"
        raise UserError(
            f"--pretrained {place} has another encoder than this run ({shapes}); "
            "use the same --preset, --encoder and --network options in both stages"
        )
    encoder.load_state_dict(weights, strict=True)
