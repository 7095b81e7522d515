"""The Model: everything known about a network. The only thing targets see."""

from archdsl.model.building import build_model, build_partial
from archdsl.model.model import BYTES_PER_NUMBER, DISPLAYS, Claim, Model, PartialModel, Totals

__all__ = [
    "BYTES_PER_NUMBER",
    "DISPLAYS",
    "Claim",
    "Model",
    "PartialModel",
    "Totals",
    "build_model",
    "build_partial",
]
