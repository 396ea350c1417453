"""A command called in the process of the tests comes to what a process comes to, and leaves nothing."""

import logging
import os
import signal
import sys

import pytest
import torch
from accelerate.state import PartialState

from tests.calling import call
from tests.micro import run

ENDINGS = {
    "nothing": "",
    "a code": "raise SystemExit(2)",
    "no code": "raise SystemExit",
    "words": "raise SystemExit('a word')",
    "an error": "raise RuntimeError('a bug')",
}
PROGRAM = """
import logging, os, subprocess, sys, warnings
from pathlib import Path
print(*sys.argv[1:], Path.cwd().name, __name__, sys.modules['__main__'].__dict__ is globals())
print('of a child', file=sys.stderr, flush=True)
subprocess.run([sys.executable, '-c', 'print("child")'])
os.write(2, b'native\\n')
warnings.warn('careful')
logging.getLogger('data').warning('logged')
"""
DISTURBS = """
import logging, os, signal, sys, torch
from accelerate import Accelerator
Accelerator(cpu=True)
os.environ['DISTURBED'] = '1'
os.chdir('/')
sys.path.insert(0, 'elsewhere')
signal.signal(signal.SIGTERM, signal.SIG_IGN)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
logging.getLogger('data').addHandler(logging.NullHandler())
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_call_is_a_process(ending, tmp_path):
    (tmp_path / "program.py").write_text(f"{PROGRAM}\n{ENDINGS[ending]}\n")
    ours, theirs = (start("program", "one", 2, cwd=tmp_path) for start in (call, run))
    assert ours.returncode == theirs.returncode
    assert ours.stdout == theirs.stdout
    ours_lines, theirs_lines = ours.stderr.splitlines(), theirs.stderr.splitlines()
    if ending == "an error":  # the frames of runpy's callers differ
        assert "Traceback (most recent call last):" in ours_lines
        ours_lines, theirs_lines = ([*lines[:5], lines[-1]] for lines in (ours_lines, theirs_lines))
    assert ours_lines == theirs_lines


def test_a_call_leaves_the_process_as_it_was(tmp_path):
    (tmp_path / "disturbing.py").write_text(DISTURBS)

    def state():
        handlers = [list(logger.handlers) for logger in (logging.root, logging.getLogger("data"))]
        signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        numbers = torch.get_default_dtype(), torch.get_num_threads(), dict(PartialState._shared_state)
        streams = sys.stdout, sys.stderr, list(sys.argv), list(sys.path), sys.modules["__main__"]
        return dict(os.environ), os.getcwd(), handlers, signals, numbers, streams  # noqa: PTH109

    before = state()
    done = call("disturbing", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert state() == before
