import os
import signal
import subprocess
import time

import pytest
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

from data.base.signals import STOPPING
from gan.run.signals import StopSignal, loader_processes

pytestmark = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="needs Linux")


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_is_remembered(number):
    before = signal.signal(number, signal.SIG_DFL)
    with StopSignal(Accelerator(cpu=True)) as stop:
        assert stop.agreed() == [False]
        signal.raise_signal(number)
        assert stop.agreed(False, True) == [True, False, True]
    assert signal.signal(number, before) == signal.SIG_DFL


def test_a_second_one_leaves_at_once():
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with StopSignal(Accelerator(cpu=True)):
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130


class OwnProcess(Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        return os.getpid()


def test_loader_processes_outlive_the_signals_of_their_group():
    loader = DataLoader(OwnProcess(), batch_size=1, prefetch_factor=1, **loader_processes(2))
    batches = iter(loader)
    workers = {int(next(batches)) for _ in range(2)}
    for number in STOPPING:  # from anyone but their parent
        subprocess.run(["kill", f"-{int(number)}", *map(str, workers)], check=True)
    assert {int(batch) for batch in batches} == workers


def test_the_parent_can_still_end_loader_processes():
    batches = iter(DataLoader(OwnProcess(), batch_size=1, **loader_processes(1)))
    next(batches)
    (worker,) = batches._workers
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        time.sleep(0.2)
        list(batches)
