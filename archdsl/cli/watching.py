"""``archdsl check --watch``: check again whenever a file has changed."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from archdsl.cli.files import find_specs
from archdsl.cli.terminal import is_terminal, print_text
from archdsl.report.text import count_of

#: Seconds between two looks at the files. Polling needs no library and works on every disk.
PERIOD = 0.2
#: Not the parser: a text that is being edited often does not parse yet.
_USE = re.compile(r'^\s*use\s+"([^"\n]+)"', re.MULTILINE)

#: Each file with its modification time and size; None where it does not exist.
Snapshot = dict[str, tuple[int, int] | None]


def watch_files(check: Callable[[], str], paths: Sequence[str]) -> None:
    """Run ``check``, which returns a verdict, now and after each change, until interrupted."""
    seen: Snapshot | None = None
    while True:
        now = take_snapshot(paths)
        if now != seen:
            seen = now
            if is_terminal(sys.stdout):
                click.clear()
            verdict = check()
            watched = count_of(len(now), "file")
            print_text(f"\n{time.strftime('%H:%M:%S')}  {verdict}; watching {watched}")
            sys.stdout.flush()
        time.sleep(PERIOD)


def take_snapshot(paths: Sequence[str]) -> Snapshot:
    """The state of all files of a call and of those they use."""
    snapshot: Snapshot = {}
    waiting = [file.path for file in find_specs(paths).files]
    while waiting:
        path = os.path.normpath(waiting.pop())
        if path in snapshot:
            continue
        try:
            status = os.stat(path)
            snapshot[path] = (status.st_mtime_ns, status.st_size)
            waiting += _uses(Path(path))
        except OSError:
            snapshot[path] = None
    return snapshot


def _uses(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8", errors="replace")
    return (str(path.parent / used) for used in _USE.findall(text))
