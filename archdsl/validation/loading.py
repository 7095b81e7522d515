"""How a network for inference takes the plain one's state, tried with one number a tensor.

Each tensor of the plain state is a number of its own. ``load_training_state`` then computes with
numbers, and what each tensor of the network gets is compared with what folding gives. A formula
may be written in any way that is right; a reshape is not seen, nor the order within a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isclose, sqrt
from typing import Any, TypeAlias

from archdsl.deployment import Deployment, Origin
from archdsl.graph import Node
from archdsl.layers.norm import BatchNorm
from archdsl.validation.comparing import Network
from archdsl.validation.faults import Difference
from archdsl.validation.modules import Leaf
from archdsl.validation.signatures import Bound

#: Numbers that no mistake maps onto one another: the fractions of multiples of the golden ratio.
_STEP = (sqrt(5) - 1) / 2
_TOLERANCE = 1e-9
#: Dimensions of a weight by the layer that has it.
_RANKS = {"nn.Conv2d": 4, "nn.ConvTranspose2d": 4, "nn.Linear": 2}

Real: TypeAlias = float
Parts: TypeAlias = tuple[Real, ...]


class Number:
    """A tensor as one number, or as several where tensors were joined."""

    def __init__(self, parts: Parts, rank: int = 1) -> None:
        self.parts = parts
        self.rank = rank

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,) * self.rank

    def __len__(self) -> int:
        return 1

    def _with(self, parts: Iterator[Real] | Parts) -> Number:
        return Number(tuple(parts), self.rank)

    def _combine(self, other: object, function: Callable[[Real, Real], Real]) -> Any:
        if isinstance(other, int | Real):
            return self._with(function(a, other) for a in self.parts)
        if not isinstance(other, Number) or len(other.parts) != len(self.parts):
            return NotImplemented
        pairs = zip(self.parts, other.parts, strict=True)
        result = Number(tuple(function(a, b) for a, b in pairs))
        result.rank = max(self.rank, other.rank)
        return result

    def __add__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a + b)

    def __radd__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: b + a)

    def __sub__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a - b)

    def __rsub__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: b - a)

    def __mul__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a / b)

    def __rtruediv__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: b / a)

    def __pow__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a**b)

    def __neg__(self) -> Number:
        return self._with(-a for a in self.parts)

    def sqrt(self) -> Number:
        return self._with(map(sqrt, self.parts))

    def rsqrt(self) -> Number:
        return self._with(1 / sqrt(a) for a in self.parts)

    def _same(self, *_: object, **__: object) -> Number:
        return self

    double = float = to = type_as = clone = detach = contiguous = cpu = _same

    def _shaped(self, *sizes: Any) -> Number:
        shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
        return Number(self.parts, len(shape))

    reshape = view = _shaped

    def _filled(self, value: Real) -> Number:
        return self._with(value for _ in self.parts)

    def new_zeros(self, *_: object) -> Number:
        return Number((0.0,))

    def new_ones(self, *_: object) -> Number:
        return Number((1.0,))

    def call_function(self, name: str, bound: Bound) -> Number:
        """What a function of torch gives."""
        match name.removeprefix("torch."):
            case "cat" if bound["dim"] == 0:
                return _joined(bound["tensors"])
            case "zeros_like":
                return self._filled(0.0)
            case "ones_like":
                return self._filled(1.0)
            case "sqrt":
                return self.sqrt()
            case "rsqrt":
                return self.rsqrt()
            case _:
                raise Difference(f"{name} has no place in the loading of a state")


def _joined(tensors: list[Number]) -> Number:
    return Number(tuple(a for t in tensors for a in t.parts), tensors[0].rank)


class Loading:
    """The plain state of a deployment, and what the network for inference is to make of it."""

    def __init__(self, deployment: Deployment, network: Network) -> None:
        self.deployment = deployment
        self.network = network
        self.state: dict[str, Number] = {}
        #: By key of the network for inference, what it is to get.
        self.wanted: dict[str, Number] = {}
        #: By key, the node of the network for inference that has it.
        self.nodes: dict[str, Node] = {}
        paths = network.expected.modules_by_node()
        for node, origins in deployment.origins.items():
            for path in paths[node]:
                self._expect(network.leaves[path], path, node, origins)
        for plain in deployment.plain.layers:
            if plain.head is not None:
                self._tensor(f"{deployment.plain.names[plain.id]}.weight", 1)

    def _expect(self, leaf: Leaf, path: str, node: int, origins: tuple[Origin, ...]) -> None:
        keys = leaf.state_keys()
        name = self.network.expected.model.names[node]
        below = path[len(name) :]
        if len(origins) == 1 and origins[0].norm is None:
            plain = self.deployment.plain.names[origins[0].layer.id] + below
            for key in keys:
                self._want(f"{path}.{key}", node, self._tensor(f"{plain}.{key}", 1))
            return
        if not keys:
            return
        folded = [self._fold(origin, leaf) for origin in origins]
        for key in keys:
            parts = [bias if key.endswith("bias") else weight for weight, bias in folded]
            self._want(f"{path}.{key}", node, _joined(parts))

    def _want(self, key: str, node: int, value: Number) -> None:
        self.wanted[key] = value
        self.nodes[key] = self.network.expected.model.nodes[node]

    def _fold(self, origin: Origin, leaf: Leaf) -> tuple[Number, Number]:
        """Weight and bias of a plain layer with its normalization: Ioffe & Szegedy 2015."""
        name = self._owner(origin.layer)
        rank = _RANKS.get(leaf.callee, 4)
        weight = self._tensor(f"{name}.weight", rank)
        has_bias = getattr(origin.layer.layer, "bias", False)
        bias = self._tensor(f"{name}.bias", 1) if has_bias else Number((0.0,))
        if origin.norm is None:
            return weight, bias
        layer, norm = origin.norm.layer, self._owner(origin.norm)
        assert isinstance(layer, BatchNorm)
        scale, shift = Number((1.0,)), Number((0.0,))
        if layer.affine:
            scale, shift = self._tensor(f"{norm}.weight", 1), self._tensor(f"{norm}.bias", 1)
        mean = self._tensor(f"{norm}.running_mean", 1)
        deviation = (self._tensor(f"{norm}.running_var", 1) + layer.eps).sqrt()
        self._tensor(f"{norm}.num_batches_tracked", 0)
        return weight * scale / deviation, (bias - mean) * scale / deviation + shift

    def _owner(self, node: Node) -> str:
        """The module of a plain layer that has its numbers: of a row, the last."""
        plain = self.deployment.plain
        call = node.layer.emit(plain.nodes[node.inputs[0]].volume)  # type: ignore[attr-defined]
        below = f".{len(call.args) - 1}" if call.callee == "nn.Sequential" else ""
        return plain.names[node.id] + below

    def _tensor(self, key: str, rank: int) -> Number:
        value = 0.5 + (len(self.state) + 1) * _STEP % 1
        return self.state.setdefault(key, Number((value,), rank))

    # ── Trying it ────────────────────────────────────────────────────────────────────────────

    def compare(self) -> None:
        """Each tensor gets its numbers; a state that lacks one, or has more, is refused."""
        found = self._load(self.state)
        if found is None:
            raise Difference("load_training_state loads nothing")
        for key, value in self.wanted.items():
            if key not in found:
                raise Difference(f"`{key}` is not loaded", node=self.nodes[key])
            if not _is_close(found[key], value):
                fact = f"`{key}` is loaded with the wrong numbers of the plain network"
                raise Difference(fact, node=self.nodes[key])
        extra = self.state | {"surplus.weight": Number((1.0,))}
        lacking = dict(list(self.state.items())[1:])
        for state, fault in ((extra, "is left over"), (lacking, "is missing")):
            if self.state and self._is_taken(state):
                raise Difference(f"load_training_state takes a state in which a tensor {fault}")

    def _is_taken(self, state: Mapping[str, Number]) -> bool:
        try:
            self._load(state)
        except RuntimeError:
            return False
        return True

    def _load(self, state: Mapping[str, Number]) -> Mapping[str, Number] | None:
        given = dict(state)
        module = self.network.module
        module.__dict__["loaded"] = None
        module.load_training_state(given)  # type: ignore[attr-defined]
        if given.keys() != state.keys() or any(given[key] is not state[key] for key in state):
            raise Difference("load_training_state changes the state that it is given")
        loaded: Mapping[str, Number] | None = module.__dict__["loaded"]
        return loaded


def _is_close(found: object, wanted: Number) -> bool:
    if not isinstance(found, Number) or len(found.parts) != len(wanted.parts):
        return False
    pairs = zip(found.parts, wanted.parts, strict=True)
    return all(isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in pairs)
