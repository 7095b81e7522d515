"""Where a deployed network gets its numbers from: by name, in both networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from archdsl.classplan import (
    ClassPlan,
    InstanceItem,
    LayerItem,
    PlanItem,
    SequentialItem,
    applies_of,
    in_row,
    items_of,
    keyed_in_row,
)
from archdsl.codegen.expressions import literal
from archdsl.deployment import Deployment, Origin, Reduction
from archdsl.layers import Call, UnaryLayer
from archdsl.layers.norm import BatchNorm
from archdsl.model import Model
from archdsl.network.graph import Node

#: Where numbers come from: another name, or layers and the normalizations folded into them.
OriginNames: TypeAlias = str | tuple["Folded", ...]


#: PyTorch's default for batch normalization.
DEFAULT_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class Folded:
    """A layer of the plain network and its normalization, by name."""

    layer: str
    norm: str = ""
    eps: float = DEFAULT_EPS
    bias: bool = False
    affine: bool = True

    def text(self) -> str:
        arguments = [literal(self.layer)]
        if self.norm:
            arguments.append(literal(self.norm))
        if self.eps != DEFAULT_EPS:
            arguments.append(f"eps={literal(self.eps)}")
        if self.bias:
            arguments.append("bias=True")
        if not self.affine:
            arguments.append("affine=False")
        return f"_Fold({', '.join(arguments)})"


@dataclass(eq=False)
class InstantiationPlace:
    """One instantiation of a class: its path in both networks, and the entries found below it."""

    plan: ClassPlan
    path: str
    around: InstantiationPlace | None
    model: Model
    #: Full names in the plain network of all that the instantiation holds.
    origins: list[str] = field(default_factory=list)
    entries: dict[str, OriginNames] = field(default_factory=dict)
    plain_path: str = ""
    #: Full names of the layers that the instantiation holds itself.
    leaves: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Whether the instantiation has the part that an entry of its class is about."""
        full = f"{self.path}.{key}" if self.path else key
        return any(is_within(full, leaf) or is_within(leaf, full) for leaf in self.leaves)


class Survey:
    """Walks the plan of one deployed network."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.model = deployment.model
        self.names = deployment.model.names
        self.places: list[InstantiationPlace] = []
        #: All modules by name, outer before inner, with the plan of those that have a class.
        self.modules: dict[str, ClassPlan | None] = {}
        #: By the name of each layer with numbers: where these come from.
        self.origins: dict[str, OriginNames] = {}

    def run(self) -> list[InstantiationPlace]:
        """All places, outer before inner, with entries for what changed its name."""
        self._visit(self.model.plan, "", None)
        for place in self.places:
            depth = len(place.path.split(".")) if place.path else 0
            place.plain_path = _common_path(place.origins, depth)
        for place in self.places:
            around = place.around
            if around is not None and place.origins:
                _enter(around, place.path, place.plain_path)
            for item in items_of(place.plan):
                self._enter_leaves(item, place)
        return self.places

    @cached_property
    def stateful(self) -> set[str]:
        """The modules that have numbers, themselves or in their parts."""
        found = set()
        for origin in self.origins:
            parts = origin.split(".")
            found |= {".".join(parts[:count]) for count in range(len(parts) + 1)}
        return found

    def _visit(self, plan: ClassPlan, path: str, around: InstantiationPlace | None) -> None:
        place = InstantiationPlace(plan, path, around, self.model)
        self.places.append(place)
        self.modules[path] = plan
        for item, name in _named_items(plan, path):
            self._visit_item(item, name, place)
        if around is not None:
            around.origins += place.origins

    def _visit_item(self, item: PlanItem, path: str, place: InstantiationPlace) -> None:
        match item:
            case LayerItem(node=node):
                place.leaves.append(path)
                self._note_leaf(node, path)
                for origin in self.deployment.origins.get(node, ()):
                    place.origins += self._names_of(origin)
            case SequentialItem(items=items):
                self.modules[path] = None
                for key, inner in keyed_in_row(items):
                    self._visit_item(inner, f"{path}.{key}", place)
            case InstanceItem(plan=plan):
                self._visit(plan, path, place)

    def _note_leaf(self, node: int, path: str) -> None:
        self.modules[path] = None
        if node not in self.deployment.origins:
            return
        full = path + _holder(self.model.nodes[node], self.model)
        self.modules[full] = None
        self.origins[full] = self._origin_of(node)

    def _origin_of(self, node: int) -> OriginNames:
        origins = self.deployment.origins[node]
        if len(origins) == 1 and origins[0].norm is None:
            return self._layer_name(origins[0].layer)
        return tuple(map(self._folded, origins))

    def _enter_leaves(self, item: PlanItem, place: InstantiationPlace) -> None:
        match item:
            case LayerItem(node=node) if node in self.deployment.origins:
                path = self.names[node] + _holder(self.model.nodes[node], self.model)
                origin = self._origin_of(node)
                if isinstance(origin, str):
                    _enter(place, path, origin)
                else:
                    place.entries[path] = origin
            case SequentialItem(items=items):
                for inner in in_row(items):
                    self._enter_leaves(inner, place)

    def _folded(self, origin: Origin) -> Folded:
        name = self._layer_name(origin.layer)
        bias = bool(getattr(origin.layer.layer, "bias", False))
        if origin.norm is None:
            return Folded(name, bias=bias)
        norm = origin.norm.layer
        assert isinstance(norm, BatchNorm)
        return Folded(name, self._layer_name(origin.norm), norm.eps, bias, norm.affine)

    def _names_of(self, origin: Origin) -> list[str]:
        nodes = [node for node in (origin.layer, origin.norm) if node is not None]
        return [self._layer_name(node) for node in nodes]

    def _layer_name(self, node: Node) -> str:
        plain = self.deployment.plain
        return plain.names[node.id] + _holder(node, plain)


def _named_items(plan: ClassPlan, path: str) -> Iterator[tuple[PlanItem, str]]:
    prefix = f"{path}." if path else ""
    if plan.row is not None:
        for key, item in keyed_in_row(plan.row):
            yield item, f"{prefix}{key}"
    else:
        for apply in applies_of(plan.steps):
            yield apply.item, prefix + apply.attribute


def _holder(node: Node, model: Model) -> str:
    """Where in a layer's module its weights are, if not in the module itself."""
    layer = node.layer
    if isinstance(layer, Reduction):
        return ".conv"
    assert isinstance(layer, UnaryLayer)
    call = layer.emit(model.nodes[node.inputs[0]].volume)
    if call.callee != "nn.Sequential":
        return ""
    inner = [arg.value for arg in call.args]
    index = next(i for i, c in enumerate(inner) if isinstance(c, Call) and "Conv" in c.callee)
    return f".{index}"


def _common_path(names: Sequence[str], depth: int) -> str:
    """The path that all names begin with, no deeper than ``depth``."""
    if not names or not depth:
        return ""
    common = names[0].split(".")[:depth]
    for name in names[1:]:
        parts = name.split(".")
        while parts[: len(common)] != common:
            common.pop()
    return ".".join(common)


def _enter(place: InstantiationPlace, path: str, origin: str) -> None:
    """Note where something comes from, if its name below the place is not the same in both."""
    if path and below(path, place.path) != below(origin, place.plain_path):
        place.entries[path] = origin


def below(name: str, path: str) -> str:
    if path and not is_within(name, path):
        return name  # from elsewhere: the tables will fail when they are tried out
    return name[len(path) :].removeprefix(".")


def is_within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")
