"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import click

from archdsl.elaborate.values import MAX_VALUE
from archdsl.frontend import Inputs, read_inputs
from archdsl.layers.volume import Volume


class InputVolume(click.ParamType[Volume]):
    """A volume as the language writes it: ``28x28x192``, or ``784``."""

    name = "volume"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Volume:
        volume = InputVolumes().convert(value, param, ctx)
        if not isinstance(volume, Volume):
            self.fail(f"{value!r} is not a volume such as 28x28x192 or 784", param, ctx)
        return volume


class InputVolumes(click.ParamType[Inputs]):
    """A volume, or those of several inputs by name: ``left: 28x28x1, right: 28x28x1``."""

    name = "volumes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Inputs:
        if not isinstance(value, str):
            return cast("Inputs", value)
        try:
            found = read_inputs(value)
        except ValueError as error:
            is_one = ":" not in value
            reason = f"{value!r} is not a volume such as 28x28x192 or 784" if is_one else str(error)
            self.fail(reason, param, ctx)
        volumes = [found] if isinstance(found, Volume) else found.values()
        if any(volume.elements > MAX_VALUE for volume in volumes):
            self.fail(f"{value!r} is beyond the bound of {MAX_VALUE:,} elements", param, ctx)
        return found


class MemorySize(click.ParamType[int]):
    """A number of bytes, in units of 1000 or, with an ``i``, of 1024: ``80G``, ``24GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(
            r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?([MGT])(i?)B?", value, re.IGNORECASE
        )
        if not found:
            self.fail(f"{value!r} is not a memory size such as 80G, 11.5GB or 500M", param, ctx)
        number, unit, binary = found.groups()
        size = int(Decimal(number) * (1024 if binary else 1000) ** ("MGT".index(unit.upper()) + 2))
        if not 0 < size <= MAX_VALUE:
            self.fail(f"{value!r} is not between 1 byte and {MAX_VALUE:,}", param, ctx)
        return size


paths_argument = click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())

input_option = click.option(
    "--input",
    "input_volume",
    type=InputVolume(),
    metavar="HxWxC",
    help="The input volume of a file of bare statements, such as 28x28x192.",
)

inputs_option = click.option(
    "--input",
    "inputs",
    type=InputVolumes(),
    metavar="HxWxC",
    help="The input volume of a file of bare statements, or of a network from elsewhere, such as "
    "28x28x192; of several inputs each by name: 'left: 28x28x1, right: 28x28x1'.",
)

color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour the output; NO_COLOR and FORCE_COLOR are honoured.",
)

data_root_option = click.option(
    "--data-root",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="data",
    show_default=True,
    help="The folder where data sets are, and where they are put.",
)

checkpoint_option = click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Those with the lowest validation loss, or those at the end.",
)
