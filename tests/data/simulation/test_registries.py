"""One table of findings, and what both worlds make of it."""

from typing import get_args

from data.findings import DEVICES, FINDINGS, TABLE, Finding
from data.simulation.findings import film, volume
from data.simulation.findings.film.devices import DEVICES as DRAWN_DEVICES
from data.simulation.findings.volume.devices import DEVICES as INSERTED_DEVICES
from data.synthesize.options import FindingProbabilities


def test_table_type_and_both_registries_have_the_same_findings():
    assert get_args(Finding) == FINDINGS == tuple(TABLE) == tuple(volume.INSERT) == tuple(film.DRAW)


def test_table_and_both_worlds_have_the_same_devices():
    assert tuple(DEVICES) == tuple(INSERTED_DEVICES) == tuple(DRAWN_DEVICES)


def test_every_finding_is_an_option_with_its_description_for_help():
    options = FindingProbabilities.__dataclass_fields__
    assert tuple(options) == FINDINGS
    for name, entry in TABLE.items():
        assert options[name].default == entry.weight
        assert entry.description in repr(options[name].type)
