"""One direction only: floors look down, and rooms on one floor do not see each other."""

import ast
from pathlib import Path

import pytest

from tests.micro import ROOT

PACKAGES = ("data", "networks", "losses", "gan")
# From the ground up. A room is a folder or a module of its package.
FLOORS = {
    "data": (
        {"base"},
        {"findings"},
        {"config"},
        {"geometry"},
        {"batch"},
        {"alignment", "augment", "files"},
        {"manifests"},
        {"arrays", "prepared", "simulation"},
        {"mixed"},
        {"sources"},
        {"index", "check", "prepare", "synthesize", "draw"},
    ),
    "gan": (
        {"run"},
        {"measures", "pictures"},
        {"pretrain", "adversarial", "classify"},
        {"evaluate", "predict", "report", "export", "share", "benchmark"},
        {"ablate"},
    ),
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room_of(path: Path, package: str) -> str:
    return path.relative_to(ROOT / package).parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", ["data", "networks", "losses"])
def test_the_lower_packages_know_nothing_of_each_other(package):
    others = set(PACKAGES) - {package}
    found = {path.name: {n for n in imported(path) if n.split(".")[0] in others} for path in modules(package)}
    assert not {name: names for name, names in found.items() if names}


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_its_floor(package):
    floor_of = {room: number for number, floor in enumerate(FLOORS[package]) for room in floor}
    assert {room_of(path, package) for path in modules(package)} - {"__init__"} <= set(floor_of)
    assert len(floor_of) == sum(map(len, FLOORS[package]))


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_sees_only_the_floors_below(package):
    floor_of = {room: number for number, floor in enumerate(FLOORS[package]) for room in floor}
    wrong = []
    for path in modules(package):
        room = room_of(path, package)
        for name in imported(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top != package or other in (room, "") or other not in floor_of:
                continue  # another package, this room, or what the package itself offers
            if room != "__init__" and floor_of[other] >= floor_of[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_and_package_are_twins(package):
    """No `check.py` beside `checking.py`: a room has one name."""
    folders = {path.parent for path in modules(package)}
    stems = {folder: {path.stem for path in folder.glob("*.py")} for folder in folders}
    twins = {
        f"{folder.name}/{stem}"
        for folder, names in stems.items()
        for stem in names
        if {f"{stem}ing", f"{stem.rstrip('e')}ing"} & names
    }
    assert not twins
