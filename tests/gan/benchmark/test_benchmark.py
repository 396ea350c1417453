"""The benchmark measures what it says; how long things take is no business of a test."""

from data.simulation.volumes.phantom import make_phantom
from data.synthesize.options import SynthesizeConfig
from gan.benchmark import data as timing_data
from gan.benchmark import synthesis as timing_synthesis


def test_a_data_set_to_index_is_what_an_index_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(timing_data, "PATIENTS", 5)
    images = timing_data.write_mimic(tmp_path / timing_data.DATA)
    assert images == 5 * timing_data.STUDIES * timing_data.IMAGES_A_STUDY
    for action in (timing_data.index_mimic, timing_data.split_manifest):
        seconds, gib = action(tmp_path)
        assert seconds > 0
        assert gib > 0
    manifest = (tmp_path / timing_data.OUT / "images.csv").read_text().splitlines()
    assert len(manifest) == images + 1


def test_preparing_is_compared_with_decoding_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(timing_data, "FILES", 9)
    monkeypatch.setattr(timing_data, "FILM", (64, 48))
    monkeypatch.setattr(timing_data, "available_cores", lambda: 1)
    line = timing_data.preparing(tmp_path)
    assert line.startswith("preparing 9 files of 64 x 48 at 512 px on 1 cores: ")
    assert len(list((tmp_path / "films" / "train").glob("data-*.arrow"))) == 8


def test_bare_projection_is_a_part_of_the_whole(tmp_path):
    config = SynthesizeConfig(ct=tmp_path, out=tmp_path, image_size=32, pairs_per_patient=1)
    whole, rays = timing_synthesis.render(make_phantom(6.0), config, tmp_path / "out", 0)
    assert 0 < rays < whole
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_waiting_is_a_share_of_training(tmp_path, monkeypatch):
    monkeypatch.setattr(timing_data, "WARM_UP", 1)
    monkeypatch.setattr(timing_data, "STEPS", 2)
    monkeypatch.setattr(timing_data, "TRAIN_PATIENTS", 1)
    shares = {name: timing_data.waiting(config) for name, config in timing_data.training_data(tmp_path)}
    assert set(shares) == {"embedded", "prepared"}
    assert all(0 < share < 1 for share in shares.values())
