"""What boxes say: the words of layers, and sums of channels."""

from __future__ import annotations

import re

from archdsl.layers import Layer
from archdsl.layers.definition import fields_of
from archdsl.layers.layer import ErrorNode
from archdsl.text.printing import blank_unprintable

#: Between the numbers of a size.
_SIZE = re.compile(r"(?<=\d)x(?=\d)")
#: The words that a terse picture leaves out.
_UNSAID = ("s1", "same")


def title_of(layer: Layer) -> str:
    """The layer's word, and its kernel where it has one: ``conv 3×3``."""
    if isinstance(layer, ErrorNode):
        return blank_unprintable(layer.text)
    if any(field.name == "kernel_size" for field in fields_of(type(layer))):
        return f"{layer.name} {'×'.join(map(str, vars(layer)['kernel_size']))}"
    return layer.name


def in_short(layer: Layer) -> str:
    """A fused layer as the language writes it: ``relu``, ``dropout 0.5``."""
    return f"{title_of(layer)} {layer.describe()}".strip()


def without_code(message: str) -> str:
    """The message of a fault as a picture says it: ``28×28×3``, and no backquotes."""
    return _SIZE.sub("×", blank_unprintable(message).replace("`", ""))


def without_unsaid(detail: str) -> str:
    """The arguments of a layer without those that are common."""
    words = detail.split(" ")
    return " ".join(word for word in words if word not in _UNSAID).removesuffix(" ·")


def sum_text(terms: list[int]) -> str:
    """``192+208+48+64``; many equal terms as a product."""
    if len(terms) > 4 and len(set(terms)) == 1:
        return f"{len(terms)}·{terms[0]}"
    return "+".join(map(str, terms))
