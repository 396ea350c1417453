import ast
import dataclasses
import inspect
import itertools
import subprocess
import sys
from typing import get_type_hints

import pytest
import yaml

from data.base.errors import UserError
from gan.adversarial.options import PRESETS as ADVERSARIAL
from gan.adversarial.options import AdversarialConfig
from gan.pretrain.options import PRESETS as PRETRAIN
from gan.run.commandline import parse, read_yaml, to_yaml
from tests.micro import ROOT, command_environment


def adversarial(*args):
    return parse(["--cpu", *args], prog="test", presets=ADVERSARIAL)


def test_flags_win_over_yaml_and_yaml_over_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("weights: {l1: 7, perceptual: 3}\nepochs: 5\n")
    config = adversarial("--config", str(path), "--weights.l1", "9")
    assert (config.weights.l1, config.weights.perceptual, config.epochs) == (9, 3, 5)
    assert config.weights.adversarial == ADVERSARIAL["tiny"].weights.adversarial


@pytest.mark.parametrize("preset", ["tiny", "small", "base"])
@pytest.mark.parametrize("stage", [PRETRAIN, ADVERSARIAL])
def test_config_yaml_takes_every_option_back(tmp_path, preset, stage):
    before = parse(
        [
            "--preset",
            preset,
            "--seed",
            "5",
            "--data.augment.swap",
            "0.25",
            "--data.path",
            "x y",
            "--max-steps",
            "3",
        ],
        prog="test",
        presets=stage,
    )
    (tmp_path / "config.yaml").write_text(to_yaml(before))
    after = parse(["--config", str(tmp_path / "config.yaml")], prog="test", presets=stage)
    after.config = None
    assert after == before


def test_lists_booleans_and_none_survive_yaml(tmp_path):
    before = adversarial(
        "--extra-loss", "a.b:c=1", "d:e=2", "--data.augment.no-enabled", "--data.synthesis.findings", "nodule"
    )
    (tmp_path / "config.yaml").write_text(to_yaml(before))
    after = parse(["--config", str(tmp_path / "config.yaml")], prog="test", presets=ADVERSARIAL)
    assert after.extra_loss == ("a.b:c=1", "d:e=2")
    assert after.data.augment.enabled is False
    assert after.data.synthesis.findings == ("nodule",)
    assert after.max_steps is None


def test_resume_starts_from_the_options_of_the_run(tmp_path):
    (tmp_path / "config.yaml").write_text(to_yaml(adversarial("--seed", "11")))
    config = adversarial("--resume", str(tmp_path), "--epochs", "3")
    assert (config.seed, config.epochs, config.resume) == (11, 3, tmp_path)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--weights.l3", "5"], ["--weights.l3", "perhaps", "--weights.l1"]),
        (["--weights.l1", "-5"], ["weights.l1", "-5", "negative"]),
        (["--weights.l1", "many"], ["--weights.l1", "many"]),
        (["--loss.adversarial", "logistic"], ["logistic", "hinge", "least_squares", "non_saturating"]),
        (["--epochs", "0"], ["epochs", "0", "at least 1"]),
        (["--preset", "huge"], ["--preset", "huge", "tiny", "small", "base"]),
        (["--config"], ["--config", "value"]),
        (["--config", "absent.yaml"], ["absent.yaml", "No such file"]),
        (["--resume", "a", "--config", "b"], ["--resume", "--config", "exclude"]),
        (["--resume", "a", "--overwrite"], ["--resume", "--overwrite", "exclude"]),
        (["--resume", "a", "--run-dir=b"], ["--resume", "--run-dir", "exclude"]),
        (["--optim.lr-generator", "inf"], ["optim.lr_generator", "inf", "finite"]),
    ],
)
def test_a_mistake_is_named_in_one_line_with_the_remedy(args, words):
    with pytest.raises(UserError) as caught:
        adversarial(*args)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wieghts: {l1: 3}", ["unknown key wieghts", "weights"]),
        ("weights: {l3: 3}", ["unknown key weights.l3", "l1, charbonnier, l2", "adversarial"]),
        ("weights: 3", ["weights is 3", "mapping"]),
        ("- a\n- b", ["not a mapping"]),
        ("a: [", ["not YAML"]),
        ("run_dir: x", ["unknown key run_dir"]),
        ("epochs: many", ["epochs", "many"]),
    ],
)
def test_a_bad_yaml_file_is_named_with_its_key(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        adversarial("--config", str(path))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_contradicting_presets_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("preset: small")
    with pytest.raises(UserError, match="--preset tiny contradicts preset: small"):
        adversarial("--config", str(tmp_path / "c.yaml"), "--preset", "tiny")


def test_config_yaml_is_plain_yaml_of_every_option_of_the_stage(tmp_path):
    (tmp_path / "c.yaml").write_text(to_yaml(adversarial()))
    settings = read_yaml(tmp_path / "c.yaml")
    assert settings == yaml.safe_load(to_yaml(adversarial()))
    started = set(AdversarialConfig.__dataclass_fields__) - set(settings)
    assert started == {
        "config",
        "run_dir",
        "overwrite",
        "resume",
        "trust_remote_code",
    }


@pytest.mark.parametrize("module", ["gan.pretrain", "gan.adversarial", "gan.predict", "gan.benchmark"])
def test_help_answers_without_importing_torch(module):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{module}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{module}', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "assert not {'torch', 'transformers', 'numpy', 'kornia', 'nanodrr'} & set(sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=command_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "usage" in shown.stdout


def documented_fields(config):
    """Names of the fields that have a string under them, own or inherited, or a type that brings help."""
    hints = get_type_hints(config, include_extras=True)
    names = {
        name for name, hint in hints.items() if any(each.help for each in getattr(hint, "__metadata__", ()))
    }
    for cls in config.__mro__[:-1]:
        body = ast.parse(inspect.getsource(cls)).body[0].body
        for statement, following in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
                names.add(statement.target.id)
    return names


def undocumented_options(config, prefix=""):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from undocumented_options(value, f"{prefix}{field.name}.")
        elif field.name not in documented_fields(type(config)):
            yield f"{prefix}{field.name}"


@pytest.mark.parametrize("stage", [PRETRAIN, ADVERSARIAL])
def test_every_option_has_a_line_of_help(stage):
    assert not list(undocumented_options(stage["tiny"]))
