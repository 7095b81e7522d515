"""Which volume a user gives for which input of what is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archdsl.frontend import Inputs
from archdsl.importing.errors import WrongSource
from archdsl.layers.volume import Volume


def by_name(what: str, names: Sequence[str], given: Inputs | None) -> Mapping[str, Volume]:
    """The volumes that are given, by the names of inputs; one without a name is of a single input.

    Errors:
        WrongSource: where there is no input of a name, or a volume could be of several.
    """
    if given is None:
        return {}
    if isinstance(given, Volume):
        if len(names) > 1:
            example = ", ".join(f"{name}: {given}" for name in names)
            raise WrongSource(
                f"{what} takes {len(names)} inputs: give the volume of each by its name, such as "
                f'`--input "{example}"`'
            )
        return {names[0]: given}
    wrong = next((name for name in given if name not in names), None)
    if wrong is not None:
        raise WrongSource(f"{what} has no input `{wrong}`; {shown(names)}")
    return given


def shown(names: Sequence[str]) -> str:
    """What inputs there are, for people."""
    if not names:
        return "its input has no name"
    listed = ", ".join(f"`{name}`" for name in names)
    return f"its inputs are {listed}" if len(names) > 1 else f"its input is {listed}"
