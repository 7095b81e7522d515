"""How a deployed network takes the state of its plain twin: a table a class, and who reads it.

A class's table has what is not where its name says, relative to where the class stands in both
networks. What differs between the uses of a class stands in the table of the class around it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from archdsl.classplan import (
    ClassPlan,
    InstanceItem,
    LayerItem,
    PlanItem,
    SequentialItem,
    applies_of,
    heads_of,
    in_row,
    items_of,
)
from archdsl.codegen.expressions import literal
from archdsl.codegen.layout import INDENT, WIDTH
from archdsl.codegen.networks import Networks
from archdsl.deployment import Deployment, Origin, Reduction
from archdsl.layers import Call, UnaryLayer
from archdsl.layers.norm import BatchNorm
from archdsl.model import Model
from archdsl.network.graph import Node

#: Where numbers come from: another name, or layers and the normalizations folded into them.
Value: TypeAlias = str | tuple["Folded", ...]
#: PyTorch's, of a batch normalization.
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


@dataclass(frozen=True, slots=True)
class Conversion:
    """What the template writes behind the classes."""

    table: list[str]
    #: By the class of a network: where its auxiliary heads stand in the plain state.
    heads: dict[str, str]
    #: Whether a class's table names parts that have no numbers in some of its instantiations.
    has_choices: bool
    #: Whether several layers become one, and whether normalizations are folded into any.
    has_merges: bool
    has_norms: bool
    #: What is true of some of the layers that are folded: without a normalization, with another
    #: `eps` than PyTorch's, with a bias, behind which a normalization has no weights.
    has_bare_layers: bool
    has_eps: bool
    has_bias: bool
    has_bare_norms: bool
    #: Whether some layer that others are folded into has no bias.
    has_unbiased: bool

    @property
    def is_needed(self) -> bool:
        """Whether anything changes between the two states."""
        return bool(self.table) or any(self.heads.values())


def convert(deployments: Sequence[Deployment], networks: Networks) -> Conversion:
    """The tables of all classes of a module.

    They are tried out on the names of each network before they are written. Where they would bring
    something to the wrong place, each network has a table of all its names instead.

    Errors:
        NoTable: networks that share a class have no table in common.
    """
    surveys = [_Survey(deployment) for deployment in deployments]
    places = [place for survey in surveys for place in survey.run()]
    names = _class_names(places, networks)
    order = [*(cls.name for cls in networks.classes), *(n.name for n in networks.networks)]
    tables = _tables(places, names, order)
    if not _is_right(surveys, tables, names):
        tables = _whole_tables(surveys, names)
        if not _is_right(surveys, tables, names):
            raise NoTableError
    values = [value for entries in tables.values() for value in entries.values()]
    merges = [value for value in values if not isinstance(value, str)]
    folds = [fold for value in merges for fold in value]
    # Without a normalization, layers become one as they are, if all or none have a bias.
    has_norms = any(fold.norm for fold in folds) or any(
        len({fold.bias for fold in value}) > 1 for value in merges
    )
    return Conversion(
        list(_table_lines(tables, has_norms=has_norms)),
        _heads_by_class(deployments, networks),
        _has_choices(surveys, tables, names),
        bool(merges),
        has_norms,
        has_bare_layers=any(not fold.norm for fold in folds),
        has_eps=any(fold.norm and fold.eps != DEFAULT_EPS for fold in folds),
        has_bias=any(fold.bias for fold in folds),
        has_bare_norms=any(not fold.affine for fold in folds),
        has_unbiased=any(not any(f.norm or f.bias for f in value) for value in merges),
    )


def _heads_by_class(deployments: Sequence[Deployment], networks: Networks) -> dict[str, str]:
    """By the class of a network: where its auxiliary heads stand. Errors: ``NoTableError``."""
    found: dict[str, str] = {}
    for deployment in deployments:
        heads = _heads(deployment.plain)
        if found.setdefault(networks.network_of(deployment.model).name, heads) != heads:
            raise NoTableError
    return found


def _class_names(places: Sequence[_Instantiation], networks: Networks) -> dict[int, str]:
    """The class of each plan, by its identity."""
    return {
        id(place.plan): networks.classes.of(place.plan).name
        if place.around
        else networks.network_of(place.model).name
        for place in places
    }


# ── Places: each class in each network, with what it takes from where ────────────────────────


@dataclass(eq=False)
class _Instantiation:
    """One use of a class: its path in both networks, and the entries found below it."""

    plan: ClassPlan
    path: str
    around: _Instantiation | None
    model: Model
    #: Full names; the plain names of all that the use holds.
    origins: list[str] = field(default_factory=list)
    entries: dict[str, Value] = field(default_factory=dict)
    plain_path: str = ""
    #: Full names of the layers that the use holds itself.
    leaves: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Whether the use has the part that an entry of its class is about."""
        full = f"{self.path}.{key}" if self.path else key
        return any(_is_within(full, leaf) or _is_within(leaf, full) for leaf in self.leaves)


class _Survey:
    """Walks the plan of one deployed network."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.model = deployment.model
        self.names = deployment.model.names
        self.places: list[_Instantiation] = []
        #: All modules by name, outer before inner, with the plan of those that have a class.
        self.modules: dict[str, ClassPlan | None] = {}
        #: By the name of each layer with numbers: where these come from.
        self.origins: dict[str, Value] = {}

    def run(self) -> list[_Instantiation]:
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

    def _visit(self, plan: ClassPlan, path: str, around: _Instantiation | None) -> None:
        place = _Instantiation(plan, path, around, self.model)
        self.places.append(place)
        self.modules[path] = plan
        for item, name in _named_items(plan, path):
            self._visit_item(item, name, place)
        if around is not None:
            around.origins += place.origins

    def _visit_item(self, item: PlanItem, path: str, place: _Instantiation) -> None:
        match item:
            case LayerItem(node=node):
                place.leaves.append(path)
                self._note_leaf(node, path)
                for origin in self.deployment.origins.get(node, ()):
                    place.origins += self._names_of(origin)
            case SequentialItem(items=items):
                self.modules[path] = None
                for index, inner in enumerate(in_row(items)):
                    self._visit_item(inner, f"{path}.{index}", place)
            case InstanceItem(plan=plan):
                self._visit(plan, path, place)

    def _note_leaf(self, node: int, path: str) -> None:
        self.modules[path] = None
        if node not in self.deployment.origins:
            return
        full = path + _holder(self.model.nodes[node], self.model)
        self.modules[full] = None
        self.origins[full] = self._origin_of(node)

    def _origin_of(self, node: int) -> Value:
        origins = self.deployment.origins[node]
        if len(origins) == 1 and origins[0].norm is None:
            return self._layer_name(origins[0].layer)
        return tuple(map(self._folded, origins))

    def _enter_leaves(self, item: PlanItem, place: _Instantiation) -> None:
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
        for index, item in enumerate(in_row(plan.row)):
            yield item, f"{prefix}{index}"
    else:
        for apply in applies_of(plan.steps):
            yield apply.item, prefix + apply.attribute


def _holder(node: Node, model: Model) -> str:
    """Where in a layer's module its weights are, where not in the module itself."""
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


def _enter(place: _Instantiation, path: str, origin: str) -> None:
    """Note where something comes from, if its name below the place is not the same in both."""
    if path and _below(path, place.path) != _below(origin, place.plain_path):
        place.entries[path] = origin


def _below(name: str, path: str) -> str:
    if path and not _is_within(name, path):
        return name  # from elsewhere: what is tried out will not hold
    return name[len(path) :].removeprefix(".")


def _is_within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _heads(plain: Model) -> str:
    """The auxiliary heads of the plain network, as a tuple of the prefixes of their keys."""
    heads = [head.apply.attribute for head in heads_of(plain.plan.steps)]
    prefixes = [literal(f"{head}.") for head in heads]
    return f"({', '.join(prefixes)}{',' * (len(prefixes) == 1)})" if prefixes else ""


# ── Tables ───────────────────────────────────────────────────────────────────────────────────


def _tables(
    places: Sequence[_Instantiation], names: Mapping[int, str], order: Sequence[str]
) -> dict[str, dict[str, Value]]:
    """By class, what all its uses agree on; the rest goes to the places around them.

    A use that lacks a part has no say in it.
    """
    tables: dict[str, dict[str, Value]] = {}
    uses: defaultdict[str, list[_Instantiation]] = defaultdict(list)
    for place in places:
        uses[names[id(place.plan)]].append(place)
    for name in order:
        found = [_relative(place) for place in uses[name]]
        agreed: dict[str, Value] = {}
        for key, value in (entry for relative in found for entry in relative.items()):
            says = [
                relative.get(key)
                for place, relative in zip(uses[name], found, strict=True)
                if key in relative or place.has(key)
            ]
            if all(said == value for said in says):
                agreed[key] = value
        if agreed:
            tables[name] = agreed
        for place, relative in zip(uses[name], found, strict=True):
            if place.around is not None:
                place.around.entries |= {
                    full: value
                    for (full, value), key in zip(place.entries.items(), relative, strict=True)
                    if key not in agreed
                }
    return tables


def _whole_tables(
    surveys: Sequence[_Survey], names: Mapping[int, str]
) -> dict[str, dict[str, Value]]:
    """A table a network, of all layers by their full names."""
    tables: dict[str, dict[str, Value]] = {}
    for survey in surveys:
        table = tables.setdefault(names[id(survey.model.plan)], {})
        for name, origin in survey.origins.items():
            if table.setdefault(name, origin) != origin:
                raise NoTableError
    return tables


class NoTableError(Exception):
    """Networks that share a class take their numbers from different places."""


# ── Trying out: what ``_find_origins`` of the module will make of the tables ─────────────────


def _is_right(
    surveys: Sequence[_Survey],
    tables: Mapping[str, Mapping[str, Value]],
    names: Mapping[int, str],
) -> bool:
    return all(_find_origins(survey, tables, names) == survey.origins for survey in surveys)


def _find_origins(
    survey: _Survey, tables: Mapping[str, Mapping[str, Value]], names: Mapping[int, str]
) -> dict[str, Value]:
    """By the name of each layer: where the tables say that its numbers come from."""
    found = {"": ""}
    folds: dict[str, Value] = {}
    for name, plan in survey.modules.items():
        around, _, last = name.rpartition(".")
        plain = found.setdefault(name, _join(found[around], last))
        table = tables.get(names[id(plan)], {}) if plan else {}
        for inner, origin in table.items():
            full = _join(name, inner)
            if full not in survey.stateful:
                continue
            if isinstance(origin, str):
                found[full] = _join(plain, origin)
            else:
                folds[full] = tuple(
                    replace(
                        part,
                        layer=_join(plain, part.layer),
                        norm=_join(plain, part.norm) if part.norm else "",
                    )
                    for part in origin
                )
    # What is folded into something else than a layer with numbers is wrong, too.
    return {name: found[name] for name in survey.origins} | folds


def _has_choices(
    surveys: Sequence[_Survey],
    tables: Mapping[str, Mapping[str, Value]],
    names: Mapping[int, str],
) -> bool:
    """Whether a table names what has no numbers in some use of its class, or is not there."""
    return any(
        _join(name, inner) not in survey.stateful
        for survey in surveys
        for name, plan in survey.modules.items()
        if plan is not None
        for inner in tables.get(names[id(plan)], {})
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _relative(place: _Instantiation) -> dict[str, Value]:
    """The entries of a place, named from the place on."""

    def below(value: Value) -> Value:
        if isinstance(value, str):
            return _below(value, place.plain_path)
        return tuple(
            Folded(
                _below(f.layer, place.plain_path),
                _below(f.norm, place.plain_path) if f.norm else "",
                f.eps,
                f.bias,
                f.affine,
            )
            for f in value
        )

    return {_below(path, place.path): below(value) for path, value in place.entries.items()}


def _table_lines(tables: dict[str, dict[str, Value]], *, has_norms: bool) -> Iterator[str]:
    """The entries of ``_ORIGINS``. Without normalizations a list has names alone."""
    has_lists = any(not isinstance(v, str) for entries in tables.values() for v in entries.values())
    for name, entries in tables.items():
        yield f"{INDENT}{name}: {{"
        for key, value in entries.items():
            start = f"{INDENT * 2}{literal(key)}: "
            if isinstance(value, str) and (has_norms or not has_lists):
                yield f"{start}{literal(value)},"
                continue
            folds = (Folded(value),) if isinstance(value, str) else value
            items = [fold.text() if has_norms else literal(fold.layer) for fold in folds]
            text = f"[{', '.join(items)}]"
            if len(start + text) < WIDTH:
                yield f"{start}{text},"
                continue
            yield f"{start}["
            yield from (f"{INDENT * 3}{item}," for item in items)
            yield f"{INDENT * 2}],"
        yield f"{INDENT}}},"
