"""From syntax tree to networks: names, arguments, blocks, families, repeats and branches."""

from archdsl.elaborate.environment import Reader, standard_names
from archdsl.elaborate.networks import elaborate, elaborate_partly

__all__ = ["Reader", "elaborate", "elaborate_partly", "standard_names"]
