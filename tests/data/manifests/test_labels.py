"""Labels: what a cell means, and one line for each mistake."""

import math

import numpy as np
import pytest
import torch
from skimage.io import imsave

from data import DataConfig, DataError, collate_images, open_images
from data.manifests.labels import Labels
from tests.data.opened import images_of


def values(cells, **options):
    return Labels(names=("x",), **options).of({} if cells is None else {"x": cells}, "image").tolist()


@pytest.mark.parametrize(("uncertain", "meant"), [("ignore", math.nan), ("positive", 1), ("negative", 0)])
def test_a_cell_counts_as_the_policy_says(uncertain, meant):
    for cell, expected in (("1", 1), ("1.0", 1), ("0", 0), ("0.0", 0), (None, math.nan), ("nan", math.nan)):
        np.testing.assert_equal(values(cell, uncertain=uncertain), [expected])
    for cell in ("-1", "-1.0"):
        np.testing.assert_equal(values(cell, uncertain=uncertain), [meant])


@pytest.mark.parametrize("cell", ["2", "yes", "0.5", "-2", "True", "inf"])
def test_any_other_cell_is_named(cell):
    with pytest.raises(DataError, match=rf"'image' has '{cell}' in the label column 'x'; a label is 1, 0"):
        values(cell)


def config_of(folder, rows, header="patient_id,image,split,nodule,effusion", **options) -> DataConfig:
    for name in "abcdef":
        imsave(folder / f"{name}.png", np.zeros((32, 32), np.uint8), check_contrast=False)
    (folder / "m.csv").write_text("\n".join([header, *rows]) + "\n")
    return DataConfig(path=folder / "m.csv", image_size=32, **options)


ROWS = ["p,a.png,train,1,", "p,b.png,train,0.0,-1", "q,c.png,train,,1", "q,d.png,train,,0.0"]
HELD_OUT = ["r,e.png,val,,", "s,f.png,test,1,-1.0"]


def test_a_batch_has_the_labels_in_the_order_they_are_asked_for(tmp_path):
    config = config_of(tmp_path, ROWS + HELD_OUT, labels=("effusion", "nodule"), uncertain="positive")
    splits = open_images(config)
    assert splits["train"].labels == ("effusion", "nodule")
    batch = collate_images([splits["train"][index] for index in range(4)])
    assert batch.labels.dtype == torch.float32
    np.testing.assert_equal(batch.labels.numpy(), [[math.nan, 1], [1, 0], [1, math.nan], [0, math.nan]])
    assert batch.columns[1] == {"nodule": "0.0", "effusion": "-1"}
    assert torch.equal(splits["test"][0].labels, torch.ones(2))


def test_without_label_columns_there_are_no_labels(tmp_path):
    images = images_of(config_of(tmp_path, ROWS + HELD_OUT), "train")
    assert images.labels == ()
    assert collate_images([images[0], images[1]]).labels is None


def test_other_labels_are_other_data(tmp_path):
    def identity(rows, labels=("nodule",)):
        return images_of(config_of(tmp_path, rows + HELD_OUT, labels=labels), "train").identity

    changed = ["p,a.png,train,0,", "p,b.png,train,1,", *ROWS[2:]]
    assert identity(ROWS) == identity(ROWS) != identity(changed)
    assert identity(ROWS, ()) == identity(changed, ())


def test_a_stand_in_that_does_not_count_has_no_label(tmp_path):
    rows = ["p,a.png,train,1,", "p,b.png,train,0,", "r,e.png,val,1,1", "s,f.png,val,0,1"]
    config = config_of(tmp_path, rows, labels=("nodule",), on_error="skip")
    (tmp_path / "e.png").write_bytes(b"damaged")
    (tmp_path / "a.png").write_bytes(b"damaged")
    stand_in = images_of(config, "val")[0]
    assert stand_in.skipped and stand_in.labels.isnan().all()
    assert images_of(config, "train")[0].labels.tolist() == [0]


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (ROWS, ("mass",), r"m.csv has no label column 'mass' \(found nodule, effusion\)$"),
        (
            ["p,a.png,train,1,0", "p,b.png,train,maybe,1"],
            ("nodule",),
            "m.csv: image 'b' has 'maybe' in",
        ),
        (
            ["p,a.png,train,,", "p,b.png,train,-1,"],
            ("nodule",),
            "no image to train on has a 1 in",
        ),
        (
            ["p,a.png,train,1,", "p,b.png,train,1,"],
            ("nodule",),
            "no image to train on has a 0 in",
        ),
        (["p,a.png,train,1,", "p,b.png,train,0,"], ("effusion",), "has a 1 in .* 'effusion'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, rows, labels, message):
    with pytest.raises(DataError, match=message) as caught:
        open_images(config_of(tmp_path, rows + HELD_OUT, labels=labels))
    assert "\n" not in str(caught.value)


def test_a_label_that_is_the_same_everywhere_is_no_mistake_in_what_is_not_learnt(tmp_path):
    config = config_of(tmp_path, ROWS + HELD_OUT, labels=("nodule",))
    assert len(images_of(config, "val")) == 1


def test_a_label_of_pairs_is_of_each_image(tmp_path):
    header = "patient_id,baseline,followup,split,site,baseline_nodule,followup_nodule,followup_id"
    rows = ["p,a.png,b.png,train,north,0,1,7", "q,c.png,d.png,train,south,,-1,8"]
    images = images_of(config_of(tmp_path, rows, header, labels=("nodule",)), "train")
    np.testing.assert_equal([images[index].labels.item() for index in range(4)], [0, 1, math.nan, math.nan])
    assert images[1].columns == {"site": "north", "nodule": "1"}  # followup_id is no id of an image
    for name, missing in (("site", "baseline_site"), ("id", "baseline_id")):
        config = config_of(tmp_path, rows, header, labels=(name,))
        with pytest.raises(
            DataError, match=rf"m.csv has no label column '{missing}' \(found site, baseline_"
        ):
            images_of(config, "train")


def test_a_label_is_named_once():
    with pytest.raises(ValueError, match="labels is x y x; it must repeat no name"):
        DataConfig(labels=("x", "y", "x"))
