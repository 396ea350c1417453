"""Classes and functions named `pkg.mod:Name` on the command line: ours, or the user's own."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from data.base.errors import UserError, first_line
from gan.run.options import StageConfig

_OURS = "networks:"


def import_object(spec: str, option: str) -> Any:
    """What `pkg.mod:Name` names.

    Raises:
        UserError: the text has another form, the module does not import, or it has no such name.
    """
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise UserError(f"{option} {spec}: write pkg.mod:Name")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module raises while it is imported
        raise UserError(
            f"{option} {spec}: importing {module_name} failed ({type(error).__name__}: {error})"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise UserError(f"{option} {spec}: {module_name} has no {name}") from None


def parse_weighted(spec: str, option: str) -> tuple[str, str, float]:
    """`pkg.mod:function=0.1` as (name for the logs, what to import, weight).

    Raises:
        UserError: the text has another form, or the weight is no number or negative.
    """
    target, equals, weight_text = spec.rpartition("=")
    try:
        weight = float(weight_text)
    except ValueError:
        weight = -1.0
    if not equals or ":" not in target or not 0 <= weight < float("inf"):
        raise UserError(f"{option} {spec}: write pkg.mod:function=WEIGHT with a weight of 0 or more")
    return target.rpartition(":")[2], target, weight


def is_ours(spec: str) -> bool:
    """Whether a class is one of `networks`, which are built from options; others are built without any."""
    return spec.startswith(_OURS)


def network_class(spec: str, option: str) -> Any:
    """The `nn.Module` class that `pkg.mod:Name` names.

    Raises:
        UserError: there is none.
    """
    cls = import_object(spec, option)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise UserError(f"{option} {spec} is not a torch.nn.Module class")
    return cls


def build_network(spec: str, option: str, options: Mapping[str, Any]) -> nn.Module:
    """One of our networks with the options, or one of the user's own without any.

    Raises:
        UserError: it cannot be built.
    """
    cls = network_class(spec, option)
    try:
        return cls(**options) if is_ours(spec) else cls()
    except Exception as error:  # whatever a constructor raises that is not ours, or that wants other options
        how = f"with the options of {option}" if is_ours(spec) else "without arguments"
        raise UserError(f"{option} {spec} cannot be built {how} ({first_line(error)})") from error


def encoder_option(config: StageConfig) -> dict[str, Any]:
    """What tells a model to use the encoder that `--encoder` names; every model builds the default itself."""
    if config.encoder == StageConfig.__dataclass_fields__["encoder"].default:
        return {}
    return {"encoder": build_network(config.encoder, "--encoder", {"config": config.network})}
