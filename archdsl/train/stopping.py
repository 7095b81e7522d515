"""Signals: a run that is told to stop ends its step, saves itself and says how to go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from archdsl.train.errors import TrainError

#: Ctrl-C, the end of a job, and what SLURM sends ahead of it where it is asked to.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
_REQUEUE = getattr(signal, "SIGUSR1", None)


class Stopping:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        # Who insists need not wait for the step and the checkpoint.
        for each in _SIGNALS:
            signal.signal(
                each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
            )


@contextmanager
def watch_signals() -> Iterator[Stopping]:
    """Note the first signal instead of dying of it; the second one works as ever."""
    stopping = Stopping()
    try:
        before = {number: signal.signal(number, stopping.receive) for number in _SIGNALS}
    except ValueError:  # only the main thread hears of signals
        yield stopping
        return
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals(worker: int) -> None:
    """A process that reads data ends with the one that it reads for, not with Ctrl-C."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ending_workers() -> Iterator[None]:
    """End the processes that read data however the run ends: they react to no signal but this."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        # PyTorch's handler raises where a worker dies, in whatever is done just then.
        handler = signal.getsignal(signal.SIGCHLD)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
            worker.join()
        if is_main:
            signal.signal(signal.SIGCHLD, handler)


def exit_code_of(number: int) -> int:
    """What shells give a program that a signal has ended."""
    return 128 + number


def requeue(number: int) -> bool:
    """Put the job back into SLURM's queue where that is what the signal asks for.

    Gives whether it was. Errors: ``TrainError`` where SLURM refuses.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if number != _REQUEUE or job is None:
        return False
    try:
        subprocess.run(
            ["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise TrainError(f"the run is saved, but job {job} is not requeued: {said}") from None
    return True
