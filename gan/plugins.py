"""Classes and functions of the user's own, named `pkg.mod:Name` on the command line."""

import importlib
from typing import Any

from data.base.errors import UserError


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
