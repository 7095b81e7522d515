"""How a network for inference takes the plain one's state, tried with one number per tensor.

Each tensor of the plain state is a different number. ``load_training_state`` then computes with
numbers, and what each tensor of the network gets is compared with what folding gives. So a formula
may be written in any correct way. The order of elements within a tensor is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose, sqrt

from archdsl.deployment import Deployment, Origin
from archdsl.layers import UnaryLayer
from archdsl.layers.norm import BatchNorm
from archdsl.network.graph import Node
from archdsl.validation.comparing import ComparedNetwork
from archdsl.validation.errors import StepMismatchError
from archdsl.validation.layers import LayerStandIn
from archdsl.validation.numbers import Shape, TensorNumber, join
from archdsl.validation.signatures import weight_shape

#: Numbers that no mistake maps onto one another: the fractions of multiples of the golden ratio.
_STEP = (sqrt(5) - 1) / 2
_TOLERANCE = 1e-9


class StateLoading:
    """The plain state of a deployment, and what the network for inference must make of it."""

    def __init__(self, deployment: Deployment, network: ComparedNetwork) -> None:
        self.deployment = deployment
        self.network = network
        self.state: dict[str, TensorNumber] = {}
        #: By key of the network for inference, what it must get.
        self.wanted: dict[str, TensorNumber] = {}
        #: By key, the node of the network for inference that has it.
        self.nodes: dict[str, Node] = {}
        paths = network.expected.modules_by_node()
        for node, origins in deployment.origins.items():
            for path in paths[node]:
                self._expect(network.leaves[path], path, node, origins)
        for plain in deployment.plain.layers:
            if plain.head is not None:
                self._tensor(f"{deployment.plain.names[plain.id]}.weight", ())

    def _expect(
        self, leaf: LayerStandIn, path: str, node: int, origins: tuple[Origin, ...]
    ) -> None:
        keys = leaf.state_keys()
        name = self.network.expected.model.names[node]
        below = path[len(name) :]
        if len(origins) == 1 and origins[0].norm is None:
            plain = self.deployment.plain.names[origins[0].layer.id] + below
            for key in keys:
                self._want(f"{path}.{key}", node, self._tensor(f"{plain}.{key}", ()))
            return
        if not keys:
            return
        folded = [self._fold(origin) for origin in origins]
        for key in keys:
            parts = [bias if key.endswith("bias") else weight for weight, bias in folded]
            self._want(f"{path}.{key}", node, join(parts))

    def _want(self, key: str, node: int, value: TensorNumber) -> None:
        self.wanted[key] = value
        self.nodes[key] = self.network.expected.model.nodes[node]

    def _fold(self, origin: Origin) -> tuple[TensorNumber, TensorNumber]:
        """Weight and bias of a plain layer with its normalization: Ioffe & Szegedy 2015."""
        name, shape = self._owner(origin.layer)
        channels = shape[:1]
        weight = self._tensor(f"{name}.weight", shape)
        has_bias = getattr(origin.layer.layer, "bias", False)
        bias = (
            self._tensor(f"{name}.bias", channels) if has_bias else TensorNumber((0.0,), channels)
        )
        if origin.norm is None:
            return weight, bias
        layer, norm = origin.norm.layer, self.deployment.plain.names[origin.norm.id]
        assert isinstance(layer, BatchNorm)
        scale, shift = TensorNumber((1.0,), channels), TensorNumber((0.0,), channels)
        if layer.affine:
            scale = self._tensor(f"{norm}.weight", channels)
            shift = self._tensor(f"{norm}.bias", channels)
        mean = self._tensor(f"{norm}.running_mean", channels)
        deviation = (self._tensor(f"{norm}.running_var", channels) + layer.eps).sqrt()
        self._tensor(f"{norm}.num_batches_tracked", ())
        factor = scale / deviation
        spread = factor.reshape(-1, *(1 for _ in shape[1:]))
        return weight * spread, (bias - mean) * factor + shift

    def _owner(self, node: Node) -> tuple[str, Shape]:
        """The module that owns a plain layer's weights (the last in a row), and their shape."""
        plain = self.deployment.plain
        assert isinstance(node.layer, UnaryLayer)
        call = node.layer.emit(plain.nodes[node.inputs[0]].volume)
        *_, (suffix, callee, arguments) = self.network.expected.describe(call)
        return plain.names[node.id] + suffix, weight_shape(callee, arguments)

    def _tensor(self, key: str, shape: Shape) -> TensorNumber:
        value = 0.5 + (len(self.state) + 1) * _STEP % 1
        return self.state.setdefault(key, TensorNumber((value,), shape))

    # ── Trying it ────────────────────────────────────────────────────────────────────────────

    def compare(self) -> None:
        """Check that each tensor gets its numbers, and that a missing or extra one is refused."""
        found = self._load(self.state)
        if found is None:
            raise StepMismatchError("load_training_state loads nothing")
        for key, value in self.wanted.items():
            if key not in found:
                raise StepMismatchError(f"`{key}` is not loaded", node=self.nodes[key])
            if not _is_close(found[key], value):
                fact = f"`{key}` is loaded with the wrong numbers of the plain network"
                raise StepMismatchError(fact, node=self.nodes[key])
        extra = self.state | {"surplus.weight": TensorNumber((1.0,), ())}
        heads = {n.id for n in self.deployment.plain.nodes if n.head is not None}
        unused = tuple(f"{self.deployment.plain.names[id]}." for id in heads)
        needed = [
            key
            for key in self.state
            if not key.startswith(unused) and not key.endswith("num_batches_tracked")
        ]
        lacking = {key: value for key, value in self.state.items() if key not in needed[:1]}
        trials = [(extra, "is left over")]
        if needed:  # a network without tensors lacks none
            trials.append((lacking, "is missing"))
        for state, fault in trials:
            if self.state and self._is_taken(state):
                raise StepMismatchError(
                    f"load_training_state takes a state in which a tensor {fault}"
                )

    def _is_taken(self, state: Mapping[str, TensorNumber]) -> bool:
        try:
            self._load(state)
        except RuntimeError:
            return False
        return True

    def _load(self, state: Mapping[str, TensorNumber]) -> Mapping[str, TensorNumber] | None:
        given = dict(state)
        module = self.network.module
        module.__dict__["loaded"] = None
        module.load_training_state(given)  # type: ignore[attr-defined]
        if given.keys() != state.keys() or any(given[key] is not state[key] for key in state):
            raise StepMismatchError("load_training_state changes the state that it is given")
        loaded: Mapping[str, TensorNumber] | None = module.__dict__["loaded"]
        return loaded


def _is_close(found: object, wanted: TensorNumber) -> bool:
    if not isinstance(found, TensorNumber) or found.shape != wanted.shape:
        return False
    if len(found.parts) != len(wanted.parts):
        return False
    pairs = zip(found.parts, wanted.parts, strict=True)
    return all(isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in pairs)
