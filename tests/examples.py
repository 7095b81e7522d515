"""The examples of all layers, from their definitions."""

from __future__ import annotations

import pytest

from archdsl.layers import REGISTRY

EXAMPLES = [
    pytest.param(example, id=f"{example.text} on {'x'.join(map(str, example.input))}")
    for layer in REGISTRY.values()
    for example in layer.examples
]
