import numpy as np
import pytest

from data.findings import DEVICES, LUNGS, TABLE
from data.simulation.volumes.totalsegmentator import (
    MERGED,
    NAMES,
    TABLES,
    canonical,
    table_in_header,
    table_of_attenuation,
    translate,
)


def test_the_tables_have_the_published_sizes_and_no_name_twice():
    assert {version: len(table) for version, table in TABLES.items()} == {1: 104, 2: 117}
    for table in TABLES.values():
        assert len(set(table.values())) == len(table)
        assert list(table) == list(range(1, len(table) + 1))


@pytest.mark.parametrize(
    ("version", "label", "name"),
    [
        (1, 7, "aorta"),
        (1, 13, "lung_upper_lobe_left"),
        (1, 18, "vertebrae_L5"),
        (1, 43, "trachea"),
        (1, 48, "heart_ventricle_right"),
        (1, 58, "rib_left_1"),
        (1, 86, "clavicula_left"),
        (1, 104, "urinary_bladder"),
        (2, 10, "lung_upper_lobe_left"),
        (2, 14, "lung_lower_lobe_right"),
        (2, 27, "vertebrae_L5"),
        (2, 50, "vertebrae_C1"),
        (2, 51, "heart"),
        (2, 53, "pulmonary_vein"),
        (2, 59, "brachiocephalic_vein_left"),
        (2, 62, "superior_vena_cava"),
        (2, 74, "clavicula_right"),
        (2, 92, "rib_left_1"),
        (2, 115, "rib_right_12"),
        (2, 117, "costal_cartilages"),
    ],
)
def test_numbers_are_the_published_ones(version, label, name):
    assert TABLES[version][label] == name


def test_every_structure_of_a_finding_has_a_number():
    needs = [*(entry.needs for entry in TABLE.values()), *DEVICES.values()]
    assert {name for names in needs for name in names} <= set(NAMES)


def test_the_chambers_of_version_1_become_the_heart_of_version_2():
    chambers = [label for label, name in TABLES[1].items() if name in MERGED]
    labels = np.array([[0, *chambers, 43, 49, 93]])
    heart, trachea = NAMES["heart"], NAMES["trachea"]
    np.testing.assert_array_equal(translate(labels, TABLES[1]), [[0, *[heart] * 5, trachea, 0, 0]])
    assert canonical("heart_myocardium") == "heart"
    assert canonical("pulmonary_artery") is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_version_shows_in_what_is_filled_with_air(version):
    lobes = [label for label, name in TABLES[version].items() if name in LUNGS]
    labels = np.arange(118)[:, None, None]
    hu = np.full(labels.shape, 40.0, dtype=np.float32)
    hu[lobes] = -850
    assert table_of_attenuation(labels, hu) == TABLES[version]
    assert table_of_attenuation(labels, np.full_like(hu, 40.0)) is None


def test_names_in_the_header_are_read():
    header = (
        b'<?xml version="1.0" encoding="UTF-8"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
        b'<Label Key="0">background</Label><Label Key="3" Red="1">heart</Label>'
        b"</LabelTable></VolumeInformation></CaretExtension>\0\0\0"
    )
    assert table_in_header([b"something else", header]) == {3: "heart"}
    assert table_in_header([]) is None


def test_a_table_whose_keys_are_no_numbers_is_none():
    header = b'<L><Label Key="three">heart</Label></L>'
    huge = b'<L><Label Key="99999999999">heart</Label></L>'
    assert table_in_header([header, huge]) is None
    assert table_in_header([header, b'<L><Label Key="3">heart</Label></L>']) == {3: "heart"}
