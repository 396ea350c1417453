import shutil
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError

from data.base.errors import UserError
from gan.run.disk import named_if_not_written, require_room


def test_what_there_is_no_room_for_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2e9))
    require_room(tmp_path, 2e9, "it takes", "do without")
    with pytest.raises(UserError, match=r": it takes 2.10 GB and 2.00 GB are free; make room, or do without"):
        require_room(tmp_path, 2.1e9, "it takes", "do without")


@pytest.mark.parametrize("error", [SafetensorError("I/O error: No space"), RuntimeError("file write failed")])
def test_how_libraries_say_it_becomes_one_line(tmp_path, error):
    with (
        pytest.raises(UserError, match=r"weights cannot be written .*make room"),
        named_if_not_written(tmp_path / "weights"),
    ):
        raise error
