"""The command as a user types it: what a page holds, what it does not, and what is said of mistakes."""

import base64
import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from data.base.errors import UserError
from gan.report.encoding import fitted, planes_uri
from gan.report.evaluations import find
from gan.report.facts import facts_of
from gan.report.names import labels_of, last_name
from gan.run.change_model import ChangeModel
from gan.run.directory import RunDir
from tests.gan.report.reports import data_of, report
from tests.shared import made_once


@pytest.fixture(scope="module")
def page(workplace, tmp_path_factory):
    """The report of a finished run; read only."""

    def write(folder):
        done = report(workplace, "runs/adversarial", "--out", folder / "page.html")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "report", write) / "page.html"


def planes_of(uri):
    """Planes `[N, S, S]` of a data URI."""
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L")
    whole = np.asarray(picture)
    return np.stack(np.split(whole, whole.shape[1] // whole.shape[0], axis=1))


def test_a_page_holds_what_the_run_left(page, workplace):
    data, run = data_of(page), workplace / "runs/adversarial"
    [of] = data["runs"]
    assert of["name"] == "adversarial"
    assert of["facts"]["course"].startswith("3 of 3 epochs")
    assert of["facts"]["course"].endswith("finished")
    assert re.fullmatch(r"\d+ train, \d+ val, \d+ test", of["facts"]["patients"])
    assert of["options"]["weights.l1"] == str(
        yaml.safe_load((run / "config.yaml").read_text())["weights"]["l1"]
    )
    assert of["starts"][0]["data"] == json.loads((run / "starts.json").read_text())[0]["data"]
    assert [grid["epoch"] for grid in data["samples"][0]] == [1, 2, 3]
    [evaluation] = data["evaluations"]
    assert evaluation["tables"][0]["columns"][0] == "adversarial"
    assert {"froc", "reliability"} <= set(evaluation["figures"])
    charts = {chart["name"]: chart for chart in data["charts"]}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    l1 = [line["l1"] for line in lines if line["split"] == "train"]
    assert charts["l1"]["lines"][0]["values"] == l1
    assert charts["right_fake"]["group"] == "D's play"
    assert charts["right_fake"]["bounds"] == [0.55, 0.95]


def test_cases_are_what_the_networks_see_and_make(page, workplace, pairs_folder):
    viewer = data_of(page)["viewer"]
    with (workplace / "runs/adversarial/evaluation/cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("mae", "area"):
        found = [case["numbers"][0][name] for case in viewer["cases"]]
        assert len(found) == viewer["of"]
        assert found == pytest.approx([float(row[f"model:{name}"]) for row in rows], abs=1e-4)
    split = (workplace / "runs/adversarial/split.csv").read_text().split()
    tested = sorted(row.split(",")[0] for row in split if row.endswith(",test"))
    model = ChangeModel.load(workplace / "runs/adversarial/generator")
    files = [pairs_folder / role / f"{tested[0]}_0.png" for role in ("baseline", "followup", "target")]
    baseline, followup, change, target = planes_of(viewer["cases"][0]["image"]).astype(int)
    seen = [np.round(255 * model.read(file).pixels.squeeze()) for file in files]
    assert np.abs(followup - seen[1]).max() <= 1
    assert np.abs(target - seen[2]).max() <= 1
    assert baseline.shape == followup.shape
    made = np.round(255 * model(*files[:2])[0].numpy())
    assert np.abs(change - made).max() <= 1


def test_a_page_names_no_patient_and_no_folder_and_loads_nothing(page, workplace, pairs_folder):
    text = page.read_text()
    assert not re.search(r"\bp\d_\d\b", text)
    for place in (pairs_folder.parent, workplace):
        assert str(place) not in text
    ours = text.replace(text[text.index("/*! https://github.com") :].split("\n")[0], "")
    assert not re.search(r"""(src|href)=(?!["']?#)|@import|url\(|https?://""", ours)


def test_two_runs_evaluated_together_share_a_table(workplace, tmp_path, monkeypatch):
    for name in ("a", "b"):
        shutil.copytree(workplace / "runs/adversarial", tmp_path / "runs" / name)
    own = tmp_path / "runs/a/evaluation/summary.json"
    summary = json.loads(own.read_text())
    summary["runs"] = ["runs/a", "runs/b/generator"]
    for name in summary["runs"]:
        summary["methods"][name] = summary["methods"]["model"]
    (tmp_path / "runs/evaluate-2").mkdir()
    (tmp_path / "runs/evaluate-2/summary.json").write_text(json.dumps(summary))
    monkeypatch.chdir(tmp_path)
    [found] = find(["runs/a", "runs/b"], None)
    assert found.methods == {"runs/a": "runs/a", "runs/b": "runs/b/generator"}
    assert [one.methods for one in find(["runs/b"], None)] == [{"runs/b": "runs/b/generator"}]
    shutil.rmtree(tmp_path / "runs/evaluate-2")
    assert [one.methods for one in find(["runs/a", "runs/b"], None)] == [
        {"runs/a": "model"},
        {"runs/b": "model"},
    ]


def test_of_a_path_the_last_name_alone_is_told(tmp_path):
    assert [last_name(text) for text in ("/a/b.csv", "a/b/", "C:\\x\\y.csv", "hinge", "/")] == [
        *("b.csv", "b", "y.csv", "hinge", "/")
    ]
    assert list(labels_of(["x/run", "y/run", "other"]).values()) == ["run", "run (2)", "other"]
    run = RunDir(tmp_path)
    run.metrics.touch()
    run.config.write_text("data: {path: /home/anna/anna.csv, mix: ['/home/anna/x.csv=1']}\n")
    command = "/opt/gan/adversarial/__main__.py --data.path=/home/anna/anna.csv --config /home/anna/c.yaml"
    run.starts.write_text(json.dumps([{"command": command, "step": 0}]))
    told = facts_of(run)
    assert told["options"] == {"data.path": "anna.csv", "data.mix": "x.csv=1"}
    assert told["starts"][0]["command"] == "python -m gan.adversarial --data.path=anna.csv --config c.yaml"


def test_images_shrink_until_they_fit():
    stacks = [np.random.default_rng(seed).integers(0, 256, (3, 128, 128), np.uint8) for seed in range(2)]
    whole = fitted(stacks, 10**9)
    assert all(np.array_equal(planes_of(uri), planes) for uri, planes in zip(whole, stacks, strict=True))
    total = sum(map(len, whole))
    smaller = fitted(stacks, total // 2)
    assert sum(map(len, smaller)) <= total // 2
    assert 64 <= planes_of(smaller[0]).shape[-1] < 128
    assert fitted(stacks, total // 10) is None
    assert fitted([], 0) == []
    assert planes_uri(stacks[0]).startswith("data:image/webp;base64,")


def broken_run(workplace, folder, missing):
    shutil.copytree(workplace / "runs/adversarial", folder / "run")
    gone = folder / "run" / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    return "run"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("generator", "holds no generator/"),
        ("metrics.jsonl", "no metrics.jsonl"),
        ("config.yaml", "no config.yaml"),
    ],
)
def test_what_is_no_whole_run_is_refused(workplace, tmp_path, missing, said):
    run = broken_run(workplace, tmp_path, missing)
    assert_refused(report(tmp_path, run), said)


def test_mistakes_are_one_line(workplace, tmp_path):
    run = workplace / "runs/adversarial"
    (tmp_path / "file").touch()
    assert_refused(report(tmp_path, "nowhere"), "nowhere holds no generator/")
    assert_refused(report(tmp_path), "missing: RUN")
    assert_refused(report(tmp_path, run, run), "is named twice")
    assert_refused(
        report(tmp_path, run, "--out", "page.pdf"), "--out page.pdf: name a file that ends in .html"
    )
    assert_refused(report(tmp_path, run, "--out", "file/page.html", "--cases", "0"), "cannot be written")
    assert_refused(report(tmp_path, run, "--cases", "-1"), "cases")
    assert_refused(report(tmp_path, run, "--evaluation", "."), "summary.json is no summary")


def test_an_evaluation_of_others_or_of_another_kind_is_refused(workplace, tmp_path):
    run = str(workplace / "runs/adversarial")
    with pytest.raises(UserError, match="is of none of these runs"):
        find([run], workplace / "runs/adversarial/evaluation")
    (tmp_path / "summary.json").write_text('{"methods": {}}')
    with pytest.raises(UserError, match="has no differences"):
        find([run], tmp_path)


def assert_refused(done, said):
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
