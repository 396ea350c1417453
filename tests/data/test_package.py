import subprocess
import sys

import pytest

import data


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


def test_options_do_not_import_torch():
    _run("import sys, data.config; from data import DataConfig; assert 'torch' not in sys.modules")


def test_reading_files_imports_neither_rendering_nor_other_formats():
    _run(
        "import sys, data.sources, data.files.images, data.manifests.folders, data.manifests.manifest;"
        "assert not {'nanodrr', 'nibabel', 'skimage', 'kornia', 'pydicom', 'datasets'} & set(sys.modules)"
    )


@pytest.mark.parametrize("command", ["index", "check", "prepare", "synthesize", "draw"])
def test_help_answers_without_heavy_imports(command):
    _run(
        f"import sys, runpy; sys.argv = ['{command}', '--help']\n"
        f"try: runpy.run_module('data.{command}', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'torch', 'numpy', 'pyarrow', 'pydicom', 'skimage', 'nanodrr'} & set(sys.modules)"
    )


def test_every_public_name_is_there():
    for name in data.__all__:
        assert getattr(data, name) is not None
