"""One direction only: who may import whom."""

import ast
from pathlib import Path

import pytest

from tests.micro import ROOT

PACKAGES = ("data", "networks", "losses", "gan")
# Inside gan: a module imports only from layers before its own.
LAYERS = (
    {"config"},
    {"schedules", "rundir", "plugins", "masking", "cli", "state"},
    {"steps", "optim", "logs", "models", "objective", "metrics"},
    {"checkpoint", "visualise"},
    {"loop", "start", "assemble"},
    {"pretraining", "adversarial_training", "prediction"},
    {"timing_training", "timing_data", "timing_synthesis"},
    {"pretrain", "adversarial", "predict", "benchmark"},
)


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", ["data", "networks", "losses"])
def test_the_lower_packages_know_nothing_of_each_other(package):
    others = set(PACKAGES) - {package}
    found = {path.name: {n for n in imported(path) if n.split(".")[0] in others} for path in modules(package)}
    assert not {name: names for name, names in found.items() if names}


def test_modules_of_gan_import_from_lower_layers_only():
    layer_of = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    names = {path.stem for path in modules("gan")} - {"__init__"}
    assert names == set(layer_of)
    for name in names:
        for other in imported(ROOT / "gan" / f"{name}.py"):
            package, _, module = other.partition(".")
            if package == "gan" and module:
                assert layer_of[module] < layer_of[name], f"gan.{name} imports gan.{module}"
