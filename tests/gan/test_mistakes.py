"""A user's mistake is one line that says what to do, and exit code 2; nothing that was there is touched."""

import shutil

import pytest

from tests.calling import call
from tests.micro import MICRO, MICRO_ADVERSARIAL, run

FRESH = "--pretrained none --weights.perceptual 0"
TO_MAP = "{pairs}/followup/p0_0.png -o m.png"
# Mistake: the command, and what its one line must name.
MISTAKES = {
    "a missing manifest": ("pretrain --data.path absent.csv", ["absent.csv"]),
    "an empty folder": ("pretrain --data.path {empty}", ["empty"]),
    "an unreadable image": ("pretrain --data.path {broken}", ["broken", "p0_0.png"]),
    "an unknown option": ("pretrain --mask.size 3", ["--mask.size"]),
    "a patch as large as the image": (
        "pretrain --data.path {pairs} --mask.patch-size 64",
        ["mask.patch_size is 64", "image_size"],
    ),
    "a target of another size": (
        f"adversarial --data.path {{sizes}} {FRESH}",
        ["p0_0.png", "16 x 16", "32 x 32", "target"],
    ),
    "a target outside its range": (f"adversarial --data.path {{range}} {FRESH}", ["p0_0.npy", "[0, 1]"]),
    "a patient in two splits": (f"adversarial --data.path {{leak}} {FRESH}", ["leak", "p0", "train", "test"]),
    "a mix of nothing known": (
        f"adversarial --data.mix embeded=1 {{pairs}}=1 {FRESH}",
        ["--data.mix: embeded is no source", "embedded", "prepared:FOLDER"],
    ),
    "a source without weight": (
        f"adversarial --data.mix {{pairs}}=0 {FRESH}",
        ["mix is", "pairs=0", "a weight above 0"],
    ),
    "a source of no weight that is one": (
        f"adversarial --data.mix {{pairs}} {FRESH}",
        ["mix is", "NAME=WEIGHT"],
    ),
    "a source that is mixed with itself": (
        f"adversarial --data.mix {{pairs}}=1 {{pairs}}=2 {FRESH}",
        ["mix is", "once"],
    ),
    "a mix beside a path": (
        f"adversarial --data.mix {{pairs}}=1 --data.path {{pairs}} {FRESH}",
        ["path is", "an entry of data.mix"],
    ),
    "a mix of two meanings of change": (
        f"adversarial --data.mix {{pairs}}=1 prepared:{{signed}}=1 {FRESH}",
        ["signed was prepared with --change signed, not magnitude"],
    ),
    "a mix with smaller images": (
        f"adversarial --data.mix {{pairs}}=1 prepared:{{signed}}=1 --data.image-size 64 {FRESH}",
        ["signed was prepared at 32 px, less than --data.image-size 64"],
    ),
    "a mix that leaks": (
        f"adversarial --data.mix {{pairs}}=1 {{other}}=1 {FRESH}",
        ["--data.mix: patient 'p", "pairs", "other.csv", "in train of", "in test of"],
    ),
    "a mix with images for pairs": (
        f"adversarial --data.mix {{pairs}}=1 {{labels}}=1 {FRESH}",
        ["labels.csv", "baseline"],
    ),
    "labels that are not named": ("classify --data.path {labels} --pretrained none", ["--data.labels"]),
    "a label that is no column": (
        "classify --data.path {labels} --data.labels mass --pretrained none",
        ["labels.csv", "mass", "nodule"],
    ),
    "a label that is always missing": (
        "classify --data.path {labels} --data.labels empty --pretrained none",
        ["labels.csv", "empty"],
    ),
    "a label of one class only": (
        "classify --data.path {labels} --data.labels ones --pretrained none",
        ["labels.csv", "ones"],
    ),
    "a label of another value": (
        "classify --data.path {labels} --data.labels wrong --pretrained none",
        ["labels.csv", "wrong", "maybe"],
    ),
    "a classifier on an encoder of another width": (
        "classify --data.path {labels} --data.labels nodule --network.stem-channels 8 --pretrained "
        "{pretrained}",
        ["runs/pretrain", "--network"],
    ),
    "a classifier on a run of another kind": (
        "classify --data.path {labels} --data.labels nodule --pretrained {adversarial}",
        ["--pretrained", "runs/adversarial", "gan.pretrain"],
    ),
    "contrast without a difference": (
        "pretrain --method contrastive --data.path {pairs} --data.augment.no-enabled",
        ["data.augment.enabled"],
    ),
    "contrast by a column that is not there": (
        "pretrain --method contrastive --data.path {pairs} --contrast.together group",
        ["--contrast.together group"],
    ),
    "a negative weight": ("adversarial --weights.l1 -1", ["weights.l1", "-1"]),
    "no pretraining run": ("adversarial", ["python -m gan.pretrain", "--pretrained none"]),
    "a pretraining run that is none": ("adversarial --pretrained {empty}", ["--pretrained", "empty"]),
    "a pretraining run of another width": (
        "adversarial --data.path {pairs} --pretrained {pretrained} --network.stem-channels 8",
        ["runs/pretrain", "--network"],
    ),
    "perceptual features without an encoder": (
        "adversarial --data.path {pairs} --pretrained none",
        ["--weights.perceptual 0"],
    ),
    "a checkpoint that is not one": (
        "adversarial --resume {garbage} --pretrained {pretrained}",
        ["step_00000001", "not a checkpoint"],
    ),
    "a run that is none": ("adversarial --resume {empty}", ["--resume", "empty", "config.yaml"]),
    "a plug-in that does not exist": (
        f"adversarial --generator nowhere:Net {FRESH}",
        ["--generator nowhere:Net"],
    ),
    "a run without a generator": (
        f"predict {{pretrained}} {{pairs}}/baseline/p0_0.png {TO_MAP}",
        ["runs/pretrain", "gan.adversarial"],
    ),
    "a missing radiograph": (f"predict {{adversarial}} absent.png {TO_MAP}", ["absent.png"]),
    "a map over a radiograph": (
        "predict {adversarial} a.png b.png -o b.png",
        ["b.png", "one of the radiographs"],
    ),
    "resuming with another seed": (
        "adversarial --resume {resumable} --seed 5 --pretrained {pretrained}",
        ["--resume", "--seed was 0 and is 5 now"],
    ),
    "resuming with another split": (
        "adversarial --resume {resumable} --data.split-seed 1 --pretrained {pretrained}",
        ["--resume", "the data (fingerprint of samples, patients and splits) was"],
    ),
    "resuming with another intensity": (
        "adversarial --resume {resumable} --data.intensity percentile --pretrained {pretrained}",
        ["--resume", "--data.intensity was dicom and is percentile now"],
    ),
    "an overlay over a radiograph": (
        "predict {adversarial} m_overlay.png b.png -o m.png",
        ["m_overlay.png is one of the radiographs"],
    ),
    "resuming and overwriting": ("adversarial --resume {resumable} --overwrite", ["--overwrite", "exclude"]),
    "an unreadable image in a loader process": (
        "pretrain --data.path {broken} --data.workers 1",
        ["broken", "p0_0.png"],
    ),
    "a missing argument": ("predict {adversarial} a.png b.png", ["missing: -o PATH, --output PATH"]),
    "a baseline alone": (
        "predict {adversarial} a.png -o map.png",
        ["only", "a.png", "MODEL BASELINE FOLLOWUP"],
    ),
    "maps of many pairs in a file": (
        "predict {adversarial} {pairs} -o map.png",
        ["--output map.png", "folder", "--format"],
    ),
    "a model that is a picture": (f"predict {{pairs}}/baseline/p0_0.png absent.png {TO_MAP}", ["p0_0.png"]),
    "a model that is named twice": (
        f"predict {{adversarial}} {{adversarial}} absent.png {TO_MAP}",
        ["named twice"],
    ),
    "pairs that are single images": (
        "predict {adversarial} {labels} -o out",
        ["labels.csv", "single images"],
    ),
    "a DICOM map of what is no DICOM": (
        "predict {adversarial} {pairs}/baseline/p0_0.png {pairs}/followup/p0_0.png -o map.dcm",
        ["p0_0.png is not DICOM and has no UIDs", "PNG or NIfTI"],
    ),
    "a map below a file": (
        "predict {adversarial} {pairs}/baseline/p0_0.png {pairs}/followup/p0_0.png -o {labels}/map.png",
        ["labels.csv/map.png cannot be written", "name another folder"],
    ),
    "an unreadable pair of many": (
        "predict {adversarial} {broken} -o out --workers 0",
        ["broken", "p0_0.png"],
    ),
    "passes that are negative": ("predict {adversarial} {pairs} -o out --passes -1", ["passes", "-1"]),
    "a map of unknown format": ("predict {adversarial} a.png b.png -o map.bmp", ["map.bmp", ".png"]),
}


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory, workplace, pairs_folder):
    """Paths of everything that is wrong, by name."""

    import numpy as np
    from skimage.io import imsave

    root = tmp_path_factory.mktemp("mistakes")
    for name in ("broken", "sizes", "range"):
        shutil.copytree(pairs_folder, root / name)
    (root / "empty").mkdir()
    for kind in ("baseline", "followup", "target"):
        (root / "broken" / kind / "p0_0.png").write_bytes(b"no picture")
    imsave(root / "sizes" / "target" / "p0_0.png", np.zeros((16, 16), np.uint8), check_contrast=False)
    (root / "range" / "target" / "p0_0.png").unlink()
    np.save(root / "range" / "target" / "p0_0.npy", np.full((32, 32), 1.5, np.float32))
    table = [["patient_id", "baseline", "followup", "target", "split"]]
    for number, split in enumerate(["train", "train", "val", "test"]):
        files = [pairs_folder / kind / f"p{number}_0.png" for kind in ("baseline", "followup", "target")]
        table.append([f"p{0 if split == 'test' else number}", *map(str, files), split])
    (root / "leak.csv").write_text("\n".join(",".join(row) for row in table))
    rows = ["patient_id,image,split,nodule,empty,ones,wrong"]
    for number, split in enumerate(["train", "train", "val", "test"]):
        image = pairs_folder / "followup" / f"p{number}_0.png"
        rows.append(f"p{number},{image},{split},{number % 2},,1,{'maybe' if number else 0}")
    (root / "labels.csv").write_text("\n".join(rows))
    turned = {"train": "test", "val": "val", "test": "train"}
    drawn = (workplace / "runs" / "adversarial" / "split.csv").read_text().splitlines()[1:]
    other = [["patient_id", "baseline", "followup", "target", "split"]]
    for name, split in (row.split(",") for row in drawn):
        files = [pairs_folder / kind / f"{name}_0.png" for kind in ("baseline", "followup", "target")]
        other.append([name, *map(str, files), turned[split]])
    (root / "other.csv").write_text("\n".join(",".join(row) for row in other))
    done = call(
        *("data.prepare", pairs_folder, root / "signed", "--change", "signed", "--size", "32"),
        *("--workers", "1"),
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    garbage = root / "garbage"
    shutil.copytree(workplace / "runs" / "adversarial", garbage)
    shutil.rmtree(garbage / "checkpoints")
    (garbage / "checkpoints" / "step_00000001").mkdir(parents=True)
    (garbage / "checkpoints" / "step_00000001" / "step.json").write_text('{"step": 1, "processes": 1}')
    shutil.copytree(workplace / "runs" / "adversarial", root / "resumable")
    return {
        **{name: root / name for name in ("broken", "sizes", "range", "empty", "garbage", "resumable")},
        "leak": root / "leak.csv",
        "labels": root / "labels.csv",
        "other": root / "other.csv",
        "signed": root / "signed",
        "pairs": pairs_folder,
        "pretrained": workplace / "runs" / "pretrain",
        "adversarial": workplace / "runs" / "adversarial",
    }


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_and_exit_code_2(mistake, mistaken, tmp_path):
    command, words = MISTAKES[mistake]
    module, *args = command.format(**mistaken).split()
    options = {"adversarial": MICRO_ADVERSARIAL, "predict": ["--cpu"]}.get(module, MICRO)
    if "--resume" in args:
        options = []
    before = contents(mistaken["garbage"], mistaken["resumable"])
    # One in a process as a user starts it: there the exit code is the process's own.
    start = run if mistake == "an unreadable image in a loader process" else call
    done = start(f"gan.{module}", *options, *args, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    message = done.stderr.strip().splitlines()
    assert len(message) == 1, done.stderr
    assert message[0].startswith("error: ")
    assert all(word in message[0] for word in words), message[0]
    assert contents(mistaken["garbage"], mistaken["resumable"]) == before
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".safetensors", ".png")]


def contents(*folders):
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in files}
