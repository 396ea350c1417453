"""Runs to report on, and what a page holds."""

import json
import shutil

from tests.calling import call

FAST = ("--cpu",)
HOSTILE = "</script><script>window.broken=1</script><img src=x onerror=window.broken=1>"


def report(place, *arguments):
    return call("gan.report", *arguments, *FAST, cwd=place)


def data_of(path):
    """What the page's scripts read."""
    text = path.read_text().partition('<script type="application/json" id="data">')[2]
    return json.loads(text.partition("</script>")[0])


def hostile_pairs(folder, pairs_folder):
    """A manifest whose findings are HTML."""
    roles = ("baseline", "followup", "target")
    rows = [("patient_id", *roles, "split", "findings")]
    for patient in range(4):
        files = [str(pairs_folder / role / f"p{patient}_0.png") for role in roles]
        rows.append((f"p{patient}", *files, "test", HOSTILE if patient else "nodule"))
    path = folder / "hostile.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    return path


def two_runs(workplace, folder):
    """A finished run, and one of a hostile name that was never evaluated and has options of its own."""
    shutil.copytree(workplace / "runs/adversarial", folder / "runs/first")
    second = folder / "runs/<img src=x onerror=window.broken=1>"
    shutil.copytree(workplace / "runs/adversarial", second)
    shutil.rmtree(second / "evaluation")
    config = second / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0\n", "seed: 7\n", 1))
    return folder / "runs/first", second
