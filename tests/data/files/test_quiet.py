"""What libraries say about odd files stays off the terminal, and other warnings are left alone."""

import logging
import os
import threading
import warnings

from data.files.quiet import quiet, without_stderr


def _warn_as(module: str) -> None:
    warnings.warn_explicit("odd", UserWarning, "file.py", 1, module=module)


def test_only_the_libraries_are_silenced_and_only_within():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            for module in (
                "pydicom.filereader",
                "PIL.Image",
                "tifffile",
                "nibabel",
                "numpy",
                "data.files.dicom",
            ):
                _warn_as(module)
            _warn_as("torch.nn")
        _warn_as("pydicom.filereader")
    assert len(caught) == 2


def test_readers_in_several_threads_restore_the_filters():
    before = list(warnings.filters)
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with quiet():  # enters second and leaves last
        go_on.set()
        thread.join()
        assert warnings.filters != before
    assert warnings.filters == before


def test_libraries_do_not_log_to_the_terminal(capfd):
    logging.getLogger("tifffile").error("odd")
    logging.getLogger("pydicom").warning("odd")
    assert capfd.readouterr().err == ""


def test_native_libraries_do_not_write_to_the_terminal(capfd):
    with without_stderr():
        os.write(2, b"from C")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
