"""Signals: a run that is told to stop ends its step, saves itself and says how to continue."""

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

#: Ctrl-C, the end of a job, and what SLURM sends before that if asked to.
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
        # A second signal does not wait for the step and the checkpoint.
        for each in _SIGNALS:
            signal.signal(
                each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
            )


@contextmanager
def watch_signals() -> Iterator[Stopping]:
    """Note the first signal instead of ending; the second one works as usual."""
    stopping = Stopping()
    try:
        before = {number: signal.signal(number, stopping.receive) for number in _SIGNALS}
    except ValueError:  # only the main thread receives signals
        yield stopping
        return
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals(worker: int) -> None:
    """Make a process that reads data end with the one it reads for, not with Ctrl-C."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ending_workers() -> Iterator[None]:
    """End the processes that read data, however the run ends: they ignore all other signals."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        # PyTorch's handler raises when a worker dies, in the middle of whatever is running.
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
    """The exit code that shells report for a program that a signal has ended."""
    return 128 + number


def requeue(number: int) -> bool:
    """Put the job back into SLURM's queue where that is what the signal asks for.

    Returns whether it was. Errors: ``TrainError`` where SLURM refuses.
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
