"""Shared by the commands that need more than the core: an extra, and with it torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archdsl.cli.terminal import CommandError


@contextmanager
def needing(extra: str, user: str) -> Iterator[None]:
    """Turn a missing package, or a fault that the user can fix, into one line and exit code 2.

    ``user`` is what needs the extra: ``training``.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("archdsl"):
            raise
        install = f"pip install 'archdsl[{extra}]'"
        raise CommandError(f"{user} needs the package `{error.name}`: {install}") from None
    except Exception as error:
        if type(error).__module__.startswith("archdsl.") and _is_fault(error):
            raise CommandError(str(error)) from None
        raise


def _is_fault(error: Exception) -> bool:
    from archdsl.torch_tools.errors import ToolError

    return isinstance(error, ToolError)
