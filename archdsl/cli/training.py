"""What the commands that need PyTorch share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archdsl.cli.terminal import Refusal

INSTALL = "pip install 'archdsl[train]'"


@contextmanager
def training_extra() -> Iterator[None]:
    """Turn a missing package, and what the user can mend, into one line and exit code 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("archdsl"):
            raise
        raise Refusal(f"training needs the package `{error.name}`: {INSTALL}") from None
    except Exception as error:
        if type(error).__module__.startswith("archdsl.") and _is_fault(error):
            raise Refusal(str(error)) from None
        raise


def _is_fault(error: Exception) -> bool:
    from archdsl.runtime.faults import Fault

    return isinstance(error, Fault)
