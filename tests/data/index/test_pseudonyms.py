import hashlib
import hmac
import re
import stat
from unittest.mock import Mock

import pytest

from data.base.atomic import open_new
from data.base.errors import DataError
from data.index import pseudonyms
from data.index.pseudonyms import load_key, new_key, pseudonym, save_key

KEY = bytes(range(32))


def test_a_pseudonym_is_the_start_of_an_hmac():
    expected = hmac.new(KEY, b"7:patient5:dicom1:A", hashlib.sha256).hexdigest()[:16]
    assert pseudonym(KEY, "patient", "dicom", "A") == expected


def test_parts_do_not_run_into_each_other():
    names = {
        pseudonym(KEY, *parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("a", "b", "c"))
    }
    assert len(names) == 5


def test_any_text_has_a_pseudonym():
    assert re.fullmatch("[0-9a-f]{16}", pseudonym(KEY, "Müller\udcfc"))


def test_a_new_key_is_random_private_and_comes_back(tmp_path):
    key = new_key()
    save_key(tmp_path / "key", key)
    assert load_key(tmp_path / "key") == key
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}\n", (tmp_path / "key").read_text())
    assert new_key() != key
    assert load_key(tmp_path / "absent") is None


def test_an_existing_file_is_never_overwritten(tmp_path):
    (tmp_path / "key").write_text("mine")
    with pytest.raises(DataError, match=r"key cannot be written \(File exists\)"):
        save_key(tmp_path / "key", KEY)
    assert (tmp_path / "key").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"5ec4e7", b"5ec4e7" * 20, b"z" * 64, b"\xff\xfe" * 32])
def test_what_is_no_key_is_refused_without_repeating_it(content, tmp_path):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_key(tmp_path / "key")
    assert str(caught.value) == (
        f"--key {tmp_path}/key holds no key of 64 hexadecimal digits; "
        "name another file, or a new one to have a key made"
    )


def test_a_key_that_cannot_be_read_does_not_invite_another_one(tmp_path):
    with pytest.raises(DataError) as caught:
        load_key(tmp_path)
    assert str(caught.value) == (
        f"--key {tmp_path} cannot be read (Is a directory); make it readable, as another key gives other "
        "pseudonyms"
    )
    with pytest.raises(DataError, match=r"cannot be written \(No such file or directory\)"):
        save_key(tmp_path / "absent/key", KEY)


def test_a_key_that_is_not_written_whole_is_not_there(tmp_path, monkeypatch):
    def full(path, **options):
        file = open_new(path, **options)
        file.write = Mock(side_effect=OSError(28, "No space left on device"))
        return file

    monkeypatch.setattr(pseudonyms, "open_new", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        save_key(tmp_path / "key", KEY)
    assert not (tmp_path / "key").exists()
