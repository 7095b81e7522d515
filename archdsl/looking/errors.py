"""What keeps a network from being looked into, said in one line."""

from __future__ import annotations

from archdsl.torch_tools.errors import ToolError


class LookingError(ToolError):
    """A run, a part, a class or a window that a picture cannot be made of."""
