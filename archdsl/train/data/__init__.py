"""Data: named sets of labelled images, brought to a network's input volume.

``open_data`` opens a set by the name a recipe or the command line gives it; ``prepare_pixels``
turns one file into what the network takes. Each set is defined in one file here.
"""

from __future__ import annotations

from archdsl.train.data.appearance import Appearance, measure_appearance
from archdsl.train.data.images import ImageData, Images, Sample
from archdsl.train.data.names import DATA_NAMES, is_own, open_data
from archdsl.train.data.preparation import prepare_pixels

__all__ = [
    "DATA_NAMES",
    "Appearance",
    "ImageData",
    "Images",
    "Sample",
    "is_own",
    "measure_appearance",
    "open_data",
    "prepare_pixels",
]
