"""Graphviz in a child process: a bad graph can crash or hang it, and must not take us along."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

#: Seconds until a layout is given up.
TIME_LIMIT = 60.0
#: Resolution of PNGs in dots per inch, and the longest side in pixels: longer ones are scaled down.
DPI = 192
MAX_PIXELS = 8000
#: The longest side of a PDF page in inches that readers accept.
_MAX_PAGE = 200

#: Reads DOT, writes the picture. The wheel of pygraphviz contains Graphviz.
_CHILD = """
import sys
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
for option in sys.argv[2:]:
    name, _, value = option.partition("=")
    graph.graph_attr[name] = value
sys.stdout.buffer.write(graph.draw(prog="dot", format=sys.argv[1]))
"""


class DrawingError(Exception):
    """Graphviz is missing, failed or took too long; the message is one line."""


def graphviz_command(format: str) -> list[str]:
    """The command that reads DOT and writes a picture in ``svg``, ``png`` or ``pdf``.

    Errors:
        DrawingError: where no Graphviz is installed.
    """
    options = _options(format)
    if importlib.util.find_spec("pygraphviz"):
        # -P: a pygraphviz.py in the working directory is not ours.
        return [sys.executable, "-P", "-c", _CHILD, format, *options]
    dot = shutil.which("dot")
    if dot:
        return [dot, f"-T{format}", *(f"-G{option}" for option in options)]
    raise DrawingError(
        "drawing needs Graphviz: `pip install pygraphviz` brings it (format `dot` works without)"
    )


def _options(format: str) -> list[str]:
    """Attributes of the graph; ``size`` in inches is what a larger picture is scaled down to."""
    match format:
        case "png":
            side = MAX_PIXELS / DPI
            return [f"dpi={DPI}", f"size={side:.2f},{side:.2f}"]
        case "pdf":
            return [f"size={_MAX_PAGE},{_MAX_PAGE}"]
    return []


def run_graphviz(dot: str, format: str) -> bytes:
    """Lay out DOT text and draw it.

    Errors:
        DrawingError: Graphviz is missing, crashed, or took longer than ``TIME_LIMIT``.
    """
    command = graphviz_command(format)
    try:
        done = subprocess.run(
            command, input=dot.encode(), capture_output=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise DrawingError(f"Graphviz did not finish within {TIME_LIMIT:g} seconds") from None
    except OSError as error:
        raise DrawingError(f"Graphviz cannot be run: {error}") from None
    if done.returncode < 0:
        raise DrawingError(f"Graphviz crashed (signal {-done.returncode})")
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise DrawingError(f"Graphviz failed: {reason}")
    return done.stdout
