"""Tables of networks as papers print them: one network in rows, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.drawing.tables.configurations import configuration_table
from archdsl.drawing.tables.stages import stage_table
from archdsl.drawing.tables.table import Table
from archdsl.model import Model


def table_of(models: Sequence[Model]) -> Table:
    """The rows of one network, or the configurations of several."""
    return stage_table(models[0]) if len(models) == 1 else configuration_table(models)
