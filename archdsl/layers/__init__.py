"""The vocabulary of the language: one definition per layer or small family of layers.

A definition is a frozen dataclass with its syntax (fields), volume rule, parameter and MAC rules,
what it reads, PyTorch emission, family, doc line and examples. Nothing else in the project names a
layer.
"""

from archdsl.layers import (
    activation,
    attention,
    conv,
    dense,
    extern,
    merge,
    norm,
    plumbing,
    pool,
    rearrangement,
    recurrent,
    regularization,
    sampling,
    tokens,
)
from archdsl.layers.call import Arg, Call
from archdsl.layers.fields import LayerError
from archdsl.layers.initializers import INITIALIZERS, Initializer
from archdsl.layers.layer import (
    REGISTRY,
    Example,
    Family,
    Input,
    Layer,
    MergeLayer,
    UnaryLayer,
    WeightLayer,
)
from archdsl.layers.reach import Reach, Reads

__all__ = [
    "INITIALIZERS",
    "REGISTRY",
    "Arg",
    "Call",
    "Example",
    "Family",
    "Initializer",
    "Input",
    "Layer",
    "LayerError",
    "MergeLayer",
    "Reach",
    "Reads",
    "UnaryLayer",
    "WeightLayer",
    "activation",
    "attention",
    "conv",
    "dense",
    "extern",
    "merge",
    "norm",
    "plumbing",
    "pool",
    "rearrangement",
    "recurrent",
    "regularization",
    "sampling",
    "tokens",
]
