"""Who is it: ids that are spelled alike stay in one split, and one file is of one patient."""

import os

import numpy as np
import pytest
from skimage.io import imsave

from data import DataError
from data.config import SplitConfig
from data.manifests import records_of
from data.manifests.dataset import load_images
from data.manifests.patients import persons, spelling_of
from data.manifests.splits import draw_splits
from tests.calling import call
from tests.micro import ROOT


@pytest.mark.parametrize(
    "spellings", [("7", "007", "00-7", " 7", "7.0", "\uff17"), ("MRN 12", "mrn-012", "Mrn_12")]
)
def test_spellings_of_one_number(spellings):
    assert len({spelling_of(spelling) for spelling in spellings}) == 1
    assert set(persons(spellings, exact=False).values()) == {min(spellings)}
    assert persons(spellings, exact=True) == {spelling: spelling for spelling in spellings}


@pytest.mark.parametrize(
    "pair", [("7", "70"), ("a7", "b7"), ("1-7", "1-70"), ("0", "7"), ("-", "--"), ("a0", "a")]
)
def test_other_numbers(pair):
    assert len({spelling_of(patient) for patient in pair}) == 2


@pytest.mark.parametrize("seed", range(5))
def test_drawn_splits_never_divide_spellings_and_move_nobody_else(seed):
    plain = [f"{number}" for number in range(1, 41)]
    options = SplitConfig(split_seed=seed, val_fraction=0.3, test_fraction=0.3)
    before = draw_splits(plain, options)
    after = draw_splits([*plain, *(f"00{number}" for number in plain[::2])], options)
    assert all(after[number] == after[f"00{number}"] for number in plain[::2])
    assert all(after[number] == before[number] for number in plain[1::2])
    exact = draw_splits(
        [*plain, *(f"00{number}" for number in plain)],
        SplitConfig(split_seed=seed, val_fraction=0.3, test_fraction=0.3, exact_patients=True),
    )
    assert any(exact[number] != exact[f"00{number}"] for number in plain)


def write_manifest(folder, rows):
    for number in range(6):
        imsave(folder / f"{number}.png", np.full((8, 8), number, np.uint8), check_contrast=False)
    path = folder / "m.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_manifest_that_divides_spellings_is_refused_unless_told_that_they_are_two(tmp_path):
    rows = ["patient_id,image,split", "7,0.png,train", "b,1.png,train", "c,2.png,val", "007,3.png,test"]
    path = write_manifest(tmp_path, rows)
    message = "patients '7' and '007', who may be one person, are in the splits train and test"
    with pytest.raises(DataError, match=message):
        load_images(path, SplitConfig())
    assert len(load_images(path, SplitConfig(exact_patients=True))) == 4
    done = call("data.check", path, "--workers", "1", cwd=ROOT)
    assert (done.returncode, message in done.stderr) == (2, True)
    done = call("data.check", path, "--workers", "1", "--exact-patients", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_drawing_says_that_spellings_stay_together(tmp_path, caplog):
    rows = ["patient_id,image", "7,0.png", "b,1.png", "c,2.png", "00-7,3.png"]
    records = load_images(write_manifest(tmp_path, rows), SplitConfig())
    splits = {record.patient_id: record.split for record in records}
    assert splits["7"] == splits["00-7"]
    assert "1 patient(s) have ids in several spellings, such as '00-7' and '7'" in caplog.text


def lead(kind, folder):
    if kind == "symbolic":
        (folder / "again.png").symlink_to("0.png")
    elif kind == "hard":
        os.link(folder / "0.png", folder / "again.png")
    elif kind == "folder":
        (folder / "elsewhere").symlink_to(folder)
        return "elsewhere/0.png"
    else:
        return str(folder / "0.png")
    return "again.png"


@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder", "absolute"])
def test_one_file_of_two_patients_is_refused_whatever_leads_to_it(kind, tmp_path):
    path = write_manifest(tmp_path, [])
    name = lead(kind, tmp_path)
    path.write_text(f"patient_id,image\na,0.png\nb,1.png\nc,2.png\nd,{name}\n")
    message = f"line 5: the image {name} is of another patient in line 2, as 0.png; a file belongs to one"
    with pytest.raises(DataError, match=message):
        load_images(path, SplitConfig())
    done = call("data.check", path, "--workers", "1", cwd=ROOT)
    assert (done.returncode, message in done.stderr) == (2, True)
    path.write_text(f"patient_id,baseline,followup\na,0.png,1.png\nb,2.png,{name}\n")
    with pytest.raises(DataError, match=f"line 3: the followup {name} is of another patient in line 2"):
        records_of(path)
    path.write_text(f"patient_id,image\na,0.png\nb,1.png\nc,2.png\na,{name}\n")
    assert len(load_images(path, SplitConfig())) == 4  # of one patient, a file may have two names


@pytest.mark.parametrize("hard", [True, False])
def test_folders_of_images_and_of_pairs_are_asked_too(hard, tmp_path):
    for case in ("anna", "bert", "carl"):
        (tmp_path / case / "p").mkdir(parents=True)
        for name in ("prior", "current"):
            imsave(tmp_path / case / "p" / f"{name}.png", np.zeros((8, 8), np.uint8), check_contrast=False)
    assert len(records_of(tmp_path)) == 3
    again = tmp_path / "carl/p/prior.png"
    again.unlink()
    (again.hardlink_to if hard else again.symlink_to)(tmp_path / "anna/p/current.png")
    with pytest.raises(DataError, match="of the patients 'anna' and 'carl'; a file belongs to one patient"):
        records_of(tmp_path)
    for case in ("anna", "bert", "carl"):
        (tmp_path / case / "p/current.png").rename(tmp_path / case / "p/else.png")
        (tmp_path / case / "p/prior.png").rename(tmp_path / case / "p/other.png")
    if hard:  # the symbolic one leads nowhere now
        with pytest.raises(DataError, match="is the same file as"):
            load_images(tmp_path, SplitConfig())


def test_broken_links_are_no_file_at_all(tmp_path):
    path = write_manifest(tmp_path, ["patient_id,image", "a,x.png", "b,y.png", "c,0.png"])
    for name in ("x", "y"):
        (tmp_path / f"{name}.png").symlink_to("gone.png")
    assert len(records_of(path)) == 3
