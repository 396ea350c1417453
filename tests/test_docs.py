"""The docs do not rot: commands are read by their own parsers, links and names lead somewhere."""

import ast
import importlib
import re
import shlex
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
import tyro

from data.base.errors import UserError
from tests.micro import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OURS = ("data", "networks", "losses", "gan")
COMMANDS = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for package in ("data", "gan")
    for path in (ROOT / package).glob("*/__main__.py")
)
LONGEST_README = 170
OPTIONS_OF_OTHERS = {"--logdir"}  # tensorboard's

MARK = "<!-- check -->"
"""Stands before a passage on what is not merged yet: of it, links and imports alone are tested."""
INLINE = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z](?:[\w.-]*\w)?")


class Block(NamedTuple):
    """Neighbouring lines of a page: a fenced block, or text up to an empty line."""

    page: str
    line: int
    language: str | None
    """What follows the opening fence; None for text."""
    text: str
    marked: bool

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    lines, blocks = page.read_text().splitlines(), []
    start, marked = 0, False
    while start < len(lines):
        if not lines[start].strip() or lines[start] == MARK:
            marked = lines[start] == MARK
            start += 1
            continue
        fenced = lines[start].startswith("```")
        stop = start + 1
        while stop < len(lines) and (lines[stop] != "```" if fenced else is_text(lines[stop])):
            stop += 1
        language = lines[start][3:] if fenced else None
        text = "\n".join(lines[start + fenced : stop])
        blocks.append(Block(page.name, start + 1, language, text, marked))
        start, marked = stop + fenced, False
    return blocks


def is_text(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("```") and line != MARK


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
CURRENT = [block for block in BLOCKS if not block.marked]


def inline_code(blocks: list[Block]) -> list[tuple[str, str]]:
    """What stands between backticks in text, with its place."""
    texts = [block for block in blocks if block.language is None]
    return [(block.place, code) for block in texts for code in INLINE.findall(block.text)]


def command_lines(blocks: list[Block]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Place, module and arguments of every `python -m MODULE ARGUMENTS`."""
    lines = [
        (block.place, line) for block in blocks if block.language == "" for line in block.text.split("\n")
    ]
    found = []
    for place, line in [*lines, *inline_code(blocks)]:
        if re.match(r"(python|accelerate launch) -m ", line):
            words = shlex.split(line, comments=True)
            module = words.index("-m") + 1
            found.append((place, words[module], tuple(words[module + 1 :])))
    return found


LINES = list(dict.fromkeys(command_lines(CURRENT)))


class ParsedError(Exception):
    """The arguments are fine; the command would begin."""


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Have a command parse its arguments, and stop there."""
    monkeypatch.chdir(tmp_path)
    for run in ("pretrain", "adversarial"):
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("preset: tiny\n")
    # Which would import torch.
    monkeypatch.setattr("gan.run.commandline.preset_for_hardware", lambda **_: "tiny")
    whole = tyro.cli

    def parse_alone(*args, **keywords):
        whole(*args, **keywords)
        raise ParsedError

    def run(module, arguments):
        monkeypatch.setattr(tyro, "cli", parse_alone)
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(ParsedError):
            importlib.import_module(f"{module}.__main__").main()

    return run


@pytest.mark.parametrize(("place", "module", "arguments"), LINES, ids=[place for place, *_ in LINES])
def test_a_command_takes_what_the_docs_give_it(place, module, arguments, parse, capsys):
    assert module in COMMANDS, f"{place}: there is no command {module}"
    if "--help" in arguments:
        with pytest.raises(SystemExit) as stop:
            parse(module, arguments)
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: python -m {module}")
        return
    try:
        parse(module, arguments)
    except UserError as error:
        pytest.fail(f"{place}: {module} {' '.join(arguments)}: {error}")


def test_what_no_command_takes_is_found(parse):
    for arguments in (["--weight.l1", "1"], ["--weights.l1", "-1"], ["--loss.adversarial", "wgan"]):
        with pytest.raises(UserError):
            parse("gan.adversarial", arguments)


def test_every_command_is_documented():
    assert {module for _, module, _ in command_lines(BLOCKS)} >= set(COMMANDS)


@pytest.fixture(scope="module")
def options():
    """Every option of any command, out of their help texts."""
    shown = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
        patch.setenv("COLUMNS", "100")
        for module in COMMANDS:
            patch.setattr(sys, "argv", [module, "--help"])
            with pytest.raises(SystemExit):
                importlib.import_module(f"{module}.__main__").main()
    return set(OPTION.findall(shown.getvalue()))


def test_every_option_in_the_text_is_one_of_a_command(options):
    named = {(place, option) for place, code in inline_code(CURRENT) for option in OPTION.findall(code)}
    groups = {option.rpartition(".")[0] for option in options}
    assert not {item for item in named if item[1] not in options | groups | OPTIONS_OF_OTHERS}


def headings_of(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    texts = [block.text for block in blocks_of(page) if block.language is None]
    titles = [title for text in texts for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_and_picture_leads_somewhere():
    broken = []
    for page in PAGES:
        for block in blocks_of(page):
            text = INLINE.sub(r"\1", block.text) if block.language is None else ""
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if target.startswith("http"):
                    continue
                name, _, anchor = target.partition("#")
                path = (page.parent / name).resolve() if name else page
                if not path.is_file() or (anchor and anchor not in headings_of(path)):
                    broken.append(f"{block.place} {target}")
    assert not broken


def test_every_page_is_reached_from_the_readme():
    named = {Path(target).name for target in re.findall(r"\]\((docs/[^)#\s]+)", PAGES[0].read_text())}
    assert {page.name for page in PAGES[1:]} <= named


def names_in(module: str) -> set[str]:
    """What can be imported from one of our modules, by its source; nothing where there is no such module."""
    place = ROOT.joinpath(*module.split("."))
    sources = (place.with_suffix(".py"), place / "__init__.py", place / "__init__.pyi")
    names = {path.stem for path in place.glob("*")} if place.is_dir() else set()
    for source in filter(Path.is_file, sources):
        names |= names_of(ast.parse(source.read_text()))
    return names


def names_of(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


PROGRAMS = [(block, ast.parse(block.text)) for block in BLOCKS if block.language == "python"]


def modules_shown() -> dict[str, set[str]]:
    """Modules that the docs show the source of: `# my_losses.py` is the first line."""
    return {
        block.text.split("\n")[0].removeprefix("# ").removesuffix(".py"): names_of(tree)
        for block, tree in PROGRAMS
        if re.match(r"# \w+\.py\n", block.text)
    }


def test_every_import_of_ours_is_there():
    missing = []
    for block, tree in PROGRAMS:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in OURS:
                here = names_in(node.module)
                missing += [f"{block.place} {a.name}" for a in node.names if a.name not in here]
            elif isinstance(node, ast.Import):
                ours = [alias.name for alias in node.names if alias.name.split(".")[0] in OURS]
                missing += [f"{block.place} {name}" for name in ours if not names_in(name)]
    assert PROGRAMS
    assert not missing


def test_every_name_for_the_command_line_is_there():
    """`pkg.mod:Name`, in commands and in the text: ours, or of a module that the docs show."""
    shown, missing = modules_shown(), []
    for block in CURRENT:
        if block.language in (None, ""):
            for module, name in re.findall(r"(?<![\w./])([a-z_][\w.]*):([A-Za-z_]\w*)", block.text):
                if module.split(".")[0] in OURS:
                    known = {*names_in(module), "NAME"}
                else:
                    known = shown.get(module, {"Class", "Name"} if module == "pkg.mod" else set())
                if name not in known:
                    missing.append(f"{block.place} {module}:{name}")
    assert not missing


def test_every_file_and_name_of_ours_in_the_text_is_there():
    missing = []
    for place, code in inline_code(CURRENT):
        if re.fullmatch(rf"({'|'.join(OURS)}|tests|docs)/[\w./]*", code):
            missing += [] if (ROOT / code).exists() else [f"{place} {code}"]
        elif re.fullmatch(rf"({'|'.join(OURS)})(\.\w+)+", code):
            module, _, name = code.rpartition(".")
            missing += [] if name in names_in(module) else [f"{place} {code}"]
    assert not missing


def test_every_target_of_make_is_there():
    rules = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for block in CURRENT if block.language == "" for line in block.text.split("\n")]
    named = {
        words[1]
        for line in [*lines, *(code for _, code in inline_code(CURRENT))]
        if len(words := line.split()) > 1 and words[0] == "make"
    }
    assert named
    assert named <= rules


def test_the_readme_is_a_door():
    assert len(PAGES[0].read_text().splitlines()) <= LONGEST_README
