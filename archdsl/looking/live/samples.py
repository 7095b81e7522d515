"""Pictures to begin with: the images of a run's validation, and where something is on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from archdsl.looking.specimen import Specimen
from archdsl.train.errors import TrainError
from archdsl.train.evaluation import open_evaluated

#: So many images are looked at, at equal distances.
_LOOKED_AT = 256
#: The share of the images that may have something outside the frame.
_OUTSIDE = 0.02
#: From 0 to 1, how far a pixel is from the background before it counts as something.
_LEAST = 0.25


@dataclass(frozen=True, eq=False)
class SamplePicture:
    """A picture as it reaches the network, but for the normalization: uint8 C×H×W."""

    name: str
    pixels: Tensor


@dataclass(frozen=True)
class Frame:
    """Where something is on the images of a data set: rows and columns, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int


def take_samples(specimen: Specimen, count: int) -> tuple[list[SamplePicture], Frame | None]:
    """Images of the run's validation, of as many classes as there are, in the order of these.

    The frame is where something is on nearly all of them; None where that is nearly everywhere.
    There are no pictures where the data is no longer where the run had it: nothing is fetched.
    """
    if count == 0:
        return [], None
    finished = specimen.finished
    root = Path(finished.facts["options"].get("data_root") or "data")
    try:
        # It may have become other data since.
        images = open_evaluated(finished, None, root=root, download=False).validation
        total = len(images)  # type: ignore[arg-type]
        few = min(total, _LOOKED_AT)
        pairs = [images[place * total // few] for place in range(few)]
    # Data that comes as a stream has no length.
    except (TrainError, TypeError):
        return [], None
    chosen: dict[int, list[Tensor]] = {}
    for pixels, label in pairs:
        chosen.setdefault(int(label), []).append(pixels.round().clamp(0, 255).to(torch.uint8))
    rounds = max(map(len, chosen.values()))
    order = [
        (label, chosen[label][turn])
        for turn in range(rounds)
        for label in sorted(chosen)
        if turn < len(chosen[label])
    ]
    taken = sorted(order[:count], key=lambda pair: pair[0])
    pictures = [SamplePicture(finished.classes[label], pixels) for label, pixels in taken]
    return pictures, _frame_of([pixels for pixels, _ in pairs], specimen)


def _frame_of(images: Sequence[Tensor], specimen: Specimen) -> Frame | None:
    appearance = specimen.finished.appearance
    if appearance is None:
        return None
    background = torch.tensor(appearance.background).reshape(-1, 1, 1)
    marked = torch.stack(
        [((pixels.float() - background).abs().amax(0) / 255 > _LEAST) for pixels in images]
    )
    height, width = marked.shape[1:]
    most = max(1, round(_OUTSIDE * len(images)))
    ends = []
    for axis in (2, 1):
        seen = marked.any(axis)
        place = torch.arange(seen.shape[1])
        first = torch.where(seen, place, seen.shape[1]).amin(1).sort().values
        last = torch.where(seen, place, -1).amax(1).sort(descending=True).values
        ends.append((int(first[most - 1]), int(last[most - 1]) + 1))
    (top, bottom), (left, right) = ends
    is_small = 0 < (bottom - top) * (right - left) < 0.75 * height * width
    return Frame(top, left, bottom, right) if is_small else None
