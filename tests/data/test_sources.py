"""Every source keeps the same contract; a new one is a class and a line in the table."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.io import imsave
from torch.utils.data import IterableDataset

import data.sources
from data import (
    SOURCES,
    SPLITS,
    DataConfig,
    DataError,
    EmbeddedConfig,
    ImageSample,
    MixedSplit,
    PairSample,
    Split,
    StreamedSplit,
    collate_images,
    collate_pairs,
    load_images,
    load_pairs,
    open_images,
    open_pairs,
    settled,
)
from data.base.processes import Processes
from data.manifests import dataset
from data.manifests.dataset import Files
from data.prepare.writing import Recipe, prepare_records
from data.prepared.dataset import Prepared
from data.simulation.embedded import render
from data.simulation.embedded.dataset import Embedded

RECIPE = Recipe(size=None, bits=16, change="magnitude", intensity="dicom", framing="pad", on_error="raise")
PATIENTS = {"train": 4, "val": 1, "test": 1}
SYNTHESIS = EmbeddedConfig(
    volume="phantom",
    train_patients=1,
    val_patients=1,
    test_patients=1,
    pairs_per_patient=1,
    drawn_pairs_per_patient=0,
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A manifest of pairs and one of labelled images, both prepared as well."""
    root = tmp_path_factory.mktemp("sources")
    names = [(split, f"{split}{number}") for split, count in PATIENTS.items() for number in range(count)]
    own = ["baseline_nodule", "followup_nodule"]
    pairs = [["patient_id", "baseline", "followup", "target", "split", "site", *own]]
    images = [["patient_id", "image", "split", "nodule", "site"]]
    rng = np.random.default_rng(0)
    for number, (split, name) in enumerate(names):
        for role in "012":
            noise = rng.integers(0, 65536, (32, 32), dtype=np.uint16)
            imsave(root / f"{name}_{role}.png", noise, check_contrast=False)
        pairs.append([name, f"{name}_0.png", f"{name}_1.png", f"{name}_2.png", split, f"site {number}"])
        pairs[-1] += ["1.0", ("0", "-1")[number % 2]]
        images += [
            [name, f"{name}_{role}.png", split, cell, f"site {number}"]
            for role, cell in ((0, "1.0"), (1, ("0", "-1")[number % 2]))
        ]
    for kind, rows, load in (("pairs", pairs, load_pairs), ("images", images, load_images)):
        with (root / f"{kind}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        records = load(root / f"{kind}.csv", DataConfig())
        prepare_records(records, root / kind, RECIPE, engine=Processes(1), progress=False)
    return root


@pytest.fixture
def config_of(places, tmp_path, phantom, monkeypatch):
    """The options that mean a source, for pairs or images."""
    monkeypatch.setattr(render, "_load_thorax", lambda *_: phantom)
    monkeypatch.setattr(render, "available_cores", lambda: 1)

    def config_of(source: str, kind: str) -> DataConfig:
        options = {
            "embedded": {"synthesis": SYNTHESIS},
            "files": {"path": places / f"{kind}.csv"},
            "skipping": {"path": places / f"{kind}.csv", "on_error": "skip"},
            "prepared": {"prepared": str(places / kind)},
            "streamed": {"prepared": f"file://{places / kind}", "batch_size": 2},
            "mixed": {"mix": (f"{places / kind}.csv=2", "embedded=1"), "synthesis": SYNTHESIS},
            "mixed stream": {
                "mix": (f"{places / kind}.csv=2", f"prepared:file://{places / kind}=3"),
                "batch_size": 2,
            },
        }
        labels = ("nodule",) if kind == "images" and source != "embedded" else ()
        return DataConfig(image_size=32, cache_dir=tmp_path, labels=labels, **options[source])

    return config_of


@pytest.mark.parametrize(
    "source", ["embedded", "files", "skipping", "prepared", "streamed", "mixed", "mixed stream"]
)
def test_every_source_keeps_the_contract(config_of, source):
    for kind, opening, sample in (("pairs", open_pairs, PairSample), ("images", open_images, ImageSample)):
        config = config_of(source, kind)
        splits, again = opening(config), opening(config)
        assert list(splits) == list(SPLITS)
        for name, split in splits.items():
            assert isinstance(split, Split)
            assert split.identity == again[name].identity
            assert bool(split.labels) == (kind == "images")
            first = next(iter(split)) if isinstance(split, StreamedSplit) else split[len(split) - 1]
            assert isinstance(first, sample)
            if kind == "images":
                assert first.labels.shape == (len(split.labels),)
                assert first.labels.dtype == torch.float32
            if isinstance(split, StreamedSplit):
                assert isinstance(split, IterableDataset)
                assert (name, split.patients) == ("train", None)
                assert "stream" in source
            else:
                assert first.patient_id in split.patients
                assert split.patients == sorted(split.patients)


def test_each_line_of_the_table_is_meant_by_its_own_options(config_of):
    for source, kind in (("embedded", Embedded), ("files", Files), ("prepared", Prepared)):
        config = config_of(source, "pairs")
        assert next(line for line in SOURCES if line.is_meant(config)) is kind
        assert settled(config) == config


def test_files_prepared_and_streamed_data_have_the_same_labels_and_columns(config_of):
    expected = {}
    for source in ("files", "prepared", "streamed"):
        config = replace(config_of(source, "images"), uncertain="negative")
        train = open_images(config, ["train"])["train"]
        samples = train if source == "streamed" else [train[index] for index in range(len(train))]
        found = {
            sample.id: (sample.labels.tolist(), dict(sample.columns), sample.image.sum().item())
            for sample in samples
        }
        expected = expected or found
        assert len(found) == 8
        assert found == expected
    for source in ("files", "prepared", "streamed"):
        config = replace(config_of(source, "pairs"), labels=("nodule",), uncertain="negative")
        train = open_images(config, ["train"])["train"]
        samples = train if source == "streamed" else [train[index] for index in range(len(train))]
        labels = sorted((sample.id, sample.labels.item()) for sample in samples)
        assert [value for _, value in labels] == [1, 0] * 4
    assert expected["train1_1"][:2] == ([0.0], {"nodule": "-1", "site": "site 1"})
    assert collate_images(list(train)[:3]).labels.shape == (3, 1)


def test_pairs_and_their_images_have_the_columns_of_the_manifest_wherever_they_are_read(config_of):
    for source in ("files", "prepared"):
        config = config_of(source, "pairs")
        columns = {"site": "site 4", "baseline_nodule": "1.0", "followup_nodule": "0"}
        assert open_pairs(config)["val"][0].columns == columns
        assert open_images(config)["val"][1].columns == {"site": "site 4", "nodule": "0"}


@pytest.mark.parametrize("source", ["prepared", "streamed"])
def test_mistakes_in_labels_of_prepared_data_are_one_line(config_of, source):
    config = config_of(source, "images")
    with pytest.raises(DataError, match=r"images has no label column 'mass' \(found nodule, site\)$"):
        open_images(replace(config, labels=("mass",)))
    with pytest.raises(DataError, match=r"has 'site \d' in the label column 'site'; a label is 1, 0, -1"):
        next(iter(open_images(replace(config, labels=("site",)))["train"]))
    pairs = replace(config_of(source, "pairs"), labels=("site",))
    with pytest.raises(DataError, match=r"pairs has no label column 'baseline_site' \(found site, "):
        open_images(pairs)


def test_prepared_data_of_before_further_columns_were_kept_can_be_read(places, tmp_path):
    """prepared.json did not name the columns then; they were always view and days."""
    text = (places / "pairs.csv").read_text().replace("site,baseline_nodule,followup_nodule", "days,view")
    (places / "old.csv").write_text(text.replace(",1.0,0\n", ",PA\n").replace(",1.0,-1\n", ",PA\n"))
    records = load_pairs(places / "old.csv", DataConfig())
    prepare_records(records, tmp_path / "old", RECIPE, engine=Processes(1), progress=False)
    info = json.loads((tmp_path / "old" / "prepared.json").read_text())
    assert info.pop("columns") == ["days", "view"]
    (tmp_path / "old" / "prepared.json").write_text(json.dumps(info))
    sample = open_pairs(DataConfig(prepared=str(tmp_path / "old"), image_size=32))["val"][0]
    assert sample.columns == {"days": "site 4", "view": "PA"}


def test_a_manifest_is_read_once_for_all_splits(config_of, monkeypatch):
    reads = []
    for name in ("pairs_in_manifest", "images_in_manifest"):
        read = getattr(dataset, name)
        monkeypatch.setattr(
            dataset, name, lambda path, read=read, **how: reads.append(path) or read(path, **how)
        )
    for kind, opening in (("pairs", open_pairs), ("images", open_images)):
        config = config_of("files", kind)
        opening(config)
        assert reads.pop() == config.path
        assert not reads


def test_a_source_is_added_with_a_class_and_a_line(monkeypatch, tmp_path):
    class Zeros:
        """A split of one black image."""

        labels = ()
        patients = ("nobody",)
        identity = "zeros"

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return ImageSample(id=str(index), patient_id="nobody", image=torch.zeros(1, 32, 32))

    class Black:
        def __init__(self, config):
            self.config = replace(config, framing="stretch")

        @staticmethod
        def is_meant(config):
            return config.path is not None and config.path.suffix == ".black"

        def pairs(self, _, **__):
            raise DataError("it holds no pairs")

        def images(self, splits):
            return dict.fromkeys(splits, Zeros())

    monkeypatch.setattr(data.sources, "SOURCES", (Black, *SOURCES))
    config = DataConfig(path=tmp_path / "my.black")
    assert isinstance(open_images(config)["val"], Split)
    assert settled(config).framing == "stretch"
    with pytest.raises(DataError, match="it holds no pairs"):
        open_pairs(config)


def test_an_unknown_split_is_refused_by_every_source(config_of):
    for source in ("embedded", "files", "prepared"):
        with pytest.raises(ValueError, match="'dev' is no split; it must be one of train, val, test"):
            open_pairs(config_of(source, "pairs"), ["train", "dev"])


def test_a_mix_is_of_what_each_source_yields_alone(config_of, places):
    names = (f"{places}/pairs.csv", "embedded")
    mixed = open_pairs(config_of("mixed", "pairs"))
    for split in SPLITS:
        alone = [open_pairs(config_of(source, "pairs"))[split] for source in ("files", "embedded")]
        assert isinstance(mixed[split], MixedSplit)
        assert tuple(mixed[split].parts) == names
        assert mixed[split].patients == sorted([*alone[0].patients, *alone[1].patients])
        expected = [
            (name, f"{name}:{part[index].id}", part[index].followup.sum())
            for name, part in zip(names, alone, strict=True)
            for index in range(len(part))
        ]
        found = [mixed[split][index] for index in range(len(mixed[split]))]
        assert [(s.columns["source"], s.id, s.followup.sum()) for s in found] == expected
        assert len(mixed[split].parts["embedded"]) == len(alone[1])
    batch = collate_pairs([mixed["train"][index] for index in (0, len(mixed["train"]) - 1)])
    assert batch.valid.shape == batch.target.shape == (2, 1, 32, 32)


def test_a_mix_has_the_labels_that_all_its_sources_have(config_of):
    config = config_of("mixed", "images")
    assert open_images(config)["train"].labels == ("nodule",)
    unlabelled = open_images(replace(config, labels=()))["val"]
    assert unlabelled.labels == ()
    assert unlabelled[len(unlabelled) - 1].labels is None
    with pytest.raises(DataError, match="the embedded data has no label 'site'"):
        open_images(replace(config, mix=config.mix[::-1], labels=("site",)))


def test_the_policy_of_prepared_data_holds_for_all_sources_of_a_mix(config_of, places, tmp_path):
    records = load_pairs(places / "pairs.csv", DataConfig())
    for name in ("one", "two"):
        prepare_records(
            records,
            tmp_path / name,
            replace(RECIPE, intensity="percentile"),
            engine=Processes(1),
            progress=False,
        )
    stores = [f"prepared:{tmp_path / name}=1" for name in ("one", "two")]
    alike = replace(config_of("mixed", "pairs"), mix=tuple(stores))
    assert settled(alike) == replace(alike, intensity="percentile")
    unlike = replace(alike, mix=("embedded=1", stores[0]))
    with pytest.raises(
        DataError, match=r"intensity is dicom for embedded and percentile for prepared:\S+/one;"
    ):
        settled(unlike)
    assert settled(replace(unlike, intensity="percentile")).intensity == "percentile"


def test_a_patient_held_out_in_one_source_of_a_mix_is_not_trained_on_in_another(config_of, places):
    text = (places / "pairs.csv").read_text()
    (places / "leak.csv").write_text(
        text.replace(",train,", ",kept,").replace(",val,", ",train,").replace(",kept,", ",val,")
    )
    config = replace(config_of("mixed", "pairs"), mix=(f"{places}/pairs.csv=1", f"{places}/leak.csv=1"))
    with pytest.raises(
        DataError, match=r"patient 'val0' is in train of \S+leak.csv and in val of \S+pairs.csv;"
    ):
        open_pairs(config)
    alike = (f"{places}/pairs.csv=1", f"prepared:{places}/pairs=1")
    assert len(open_pairs(replace(config, mix=alike))["train"]) == 2 * PATIENTS["train"]
