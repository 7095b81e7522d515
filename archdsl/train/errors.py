"""What stops a training run, said in one line."""

from __future__ import annotations

from archdsl.torch_tools.errors import ToolError


class TrainError(ToolError):
    """A fault of a run: its data, its folder, its numbers."""
