"""The networks of a module: a class each, or one for a family with a function for each member."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from archdsl.classplan import argument_name
from archdsl.codegen.classes import SUPPORT, Class, Classes, ClassText, write_together
from archdsl.codegen.expressions import literal
from archdsl.codegen.initialization import initialization_lines
from archdsl.codegen.lanes import Instantiation, Lane
from archdsl.codegen.layout import Doc, DocItem, Verbatim, bracketed
from archdsl.codegen.names import PythonScope
from archdsl.codegen.tracing import form_of
from archdsl.layers.conv import Conv
from archdsl.layers.dense import FullyConnected, Linear
from archdsl.model import Model
from archdsl.network.graph import label_of
from archdsl.network.parts import AuxPart, CallArgument, Declaration, walk
from archdsl.network.symbols import Constant, Parameter, Symbolic

#: The argument for the units of the last layer, as torchvision calls it.
NUM_CLASSES = "num_classes"
#: Where a layer says how many channels or units it gives.
_WIDTHS = ((FullyConnected, "out_features"), (Linear, "out_features"), (Conv, "out_channels"))


@dataclass(eq=False)
class NetworkClass:
    """A class of networks: of one, or of the members of a family."""

    written: Class
    models: list[Model]
    is_family: bool

    @property
    def name(self) -> str:
        return self.written.name


@dataclass(frozen=True, eq=False)
class MemberFunction:
    """The function that builds a member of a family."""

    name: str
    parameters: list[DocItem]
    network: NetworkClass
    model: Model
    call: Doc


def entry_names(models: Sequence[Model]) -> list[str]:
    """What builds each network of a module: its class, or for a member of a family a function."""
    return _Names(models).entries


def entry_name(model: Model) -> str:
    """What builds a network in the module that has no other."""
    return entry_names([model])[0]


class _Names:
    """The names of networks, families and members: they come before all others."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.scope = PythonScope(SUPPORT)
        self.families: dict[Declaration, str] = {}
        self.results: dict[tuple[str, tuple[str, ...]], str] = {}
        classes: list[str | None] = []
        for model in models:
            family = model.member.family if model.member else None
            if family is not None and family not in self.families:
                self.families[family] = self._class(family.name)
            if is_member(model):
                classes.append(None)
            elif family is not None:
                classes.append(self.families[family])
            else:
                classes.append(self._class(model.name))
        self.entries = [
            name or self.scope.give_numbered(model.name.lower())
            for name, model in zip(classes, models, strict=True)
        ]

    def result_of(self, model: Model) -> str:
        """The class of what a network returns: one for a family, none without named outputs."""
        if not model.outputs:
            return ""
        of = model.member.family.name if model.member else model.name
        fields = tuple(output.name for output in model.outputs)
        if (of, fields) not in self.results:
            taken = {argument_name(label_of(node)) for node in model.inputs}
            name = self.scope.give_numbered(f"{of[0].upper()}{of[1:]}Output")
            while name in taken:
                name = self.scope.give_numbered(f"{of[0].upper()}{of[1:]}Output")
            self.results[of, fields] = name
        return self.results[of, fields]

    def class_of(self, model: Model) -> str:
        """A class for a member that shares none with its family."""
        return self._class(model.name)

    def _class(self, name: str) -> str:
        capital = name[0].upper() + name[1:]
        is_taken = capital in PythonScope(SUPPORT).taken or capital in ("None", "True", "False")
        return self.scope.give_numbered(f"{capital}Network" if is_taken else capital)


def is_member(model: Model) -> bool:
    """Whether a network is one of a family, and not the family with its defaults."""
    return model.member is not None and model.name != model.member.family.name


class Networks:
    """All classes of a module, and the functions for members of families."""

    def __init__(self, models: Sequence[Model], *, has_families: bool = True) -> None:
        if not models:
            raise ValueError("a module needs at least one network")
        self.models = models
        self.entries = entry_names(models)
        apart = () if has_families else models
        self._write(apart)
        # Without arguments, the class of a family must give the family with its defaults.
        foreign = [model for model in models if not is_member(model) and not self._is_entry(model)]
        if foreign:
            self._write([*apart, *foreign])

    def _write(self, apart: Collection[Model]) -> None:
        """Write all classes. The networks ``apart`` share none with their family."""
        models = self.models
        names = _Names(models)
        uses = [_use_of(model, is_literal=model in apart) for model in models]
        uses = [use if use.model in apart else _with_width(use) for use in uses]
        uses = [replace(use, result_class=names.result_of(use.model)) for use in uses]
        self.results = {
            name: [use.model for use in uses if use.result_class == name]
            for name in names.results.values()
        }
        self.classes = Classes(uses, names.scope)
        self.networks: list[NetworkClass] = []
        self.functions: list[MemberFunction] = []
        done: set[Declaration] = set()
        for model, use, entry in zip(models, uses, names.entries, strict=True):
            if model in apart or model.member is None:
                ((text, lanes),) = write_together([use], self.classes, _end)
                name = entry if not is_member(model) else names.class_of(model)
                self._add(name, text, lanes, is_family=False)
                continue
            family = model.member.family
            if family not in done:
                done.add(family)
                own = [u for u in uses if u.model not in apart and _family_of(u.model) == family]
                name = names.families[family]
                if any(m in apart and not is_member(m) and _family_of(m) == family for m in models):
                    name = names.scope.give_numbered(name)
                self._add_family(own, name, names.scope)
        for model, entry in zip(models, names.entries, strict=True):
            if is_member(model):
                self.functions.append(self._function(model, entry))

    def _is_entry(self, model: Model) -> bool:
        """Whether the class of a network's name gives this network when it gets no arguments."""
        network = self.network_of(model)
        arguments = model.member.arguments if model.member else ()
        values = {argument.name: Constant.of(argument.value) for argument in arguments}
        if network.name != self.entries[self.models.index(model)]:
            return False
        for parameter in network.written.parameters:
            if parameter.default is None:
                return False
            default = Constant.of(parameter.default)
            if values.get(parameter.symbol, default) != default:
                return False
        return True

    def network_of(self, model: Model) -> NetworkClass:
        """The class of a network."""
        return next(network for network in self.networks if model in network.models)

    def _add(self, name: str, text: ClassText, lanes: list[Lane], *, is_family: bool) -> None:
        models = [lane.use.model for lane in lanes]
        self.networks.append(NetworkClass(Class(name, text, lanes), models, is_family))

    def _add_family(self, uses: list[Instantiation], name: str, scope: PythonScope) -> None:
        found = write_together(uses, self.classes, _end)
        if any(_is_fixed(lanes) for _, lanes in found):
            found = write_together([_without_width(use) for use in uses], self.classes, _end)
        for index, (text, lanes) in enumerate(found):
            own = name if index == 0 else scope.give_numbered(name)
            self._add(own, text, lanes, is_family=True)

    def _function(self, model: Model, name: str) -> MemberFunction:
        network = self.network_of(model)
        (lane,) = (lane for lane in network.written.lanes if lane.use.model is model)
        values = {argument.name: argument.value for argument in lane.use.arguments}
        items, parameters = [], []
        for parameter in network.written.parameters:
            if parameter.symbol == NUM_CLASSES:
                parameters.append(DocItem(Verbatim(parameter.text)))
                items.append(DocItem(Verbatim(parameter.name), f"{parameter.name}="))
                continue
            value = values[parameter.symbol]
            if parameter.default is None:
                items.append(DocItem(Verbatim(literal(value))))
            elif Constant.of(value) != Constant.of(parameter.default):
                items.append(DocItem(Verbatim(literal(value)), f"{parameter.name}="))
        return MemberFunction(
            name, parameters, network, model, bracketed(f"{network.name}(", items)
        )


def _family_of(model: Model) -> Declaration | None:
    return model.member.family if model.member else None


def _use_of(model: Model, *, is_literal: bool) -> Instantiation:
    arguments = model.member.arguments if model.member else ()
    if model.member and not is_literal:
        return Instantiation(model.plan, model, arguments)
    return Instantiation(model.plan, model, literals={a.name: a.value for a in arguments})


def _end(use: Instantiation) -> list[str]:
    return initialization_lines(use.model)


# ── The number of classes ────────────────────────────────────────────────────────────────────


def _with_width(use: Instantiation) -> Instantiation:
    """The instantiation; for a member of a family with the number of classes as an argument."""
    model = use.model
    if model.member is None or any(argument.name == NUM_CLASSES for argument in use.arguments):
        return use
    ends = [model.chain.output]
    ends += [part.body.output for part in walk(model.chain) if isinstance(part, AuxPart)]
    if not model.output.is_vector or model.outputs:
        return use
    classes = model.output.channels
    width = Symbolic(classes, Parameter(NUM_CLASSES))
    instead = {}
    for end in ends:
        place = _width_of(model, end)
        if place is None or model.nodes[end].volume != model.output:
            return use
        instead[place] = width
    argument = CallArgument(NUM_CLASSES, classes, Constant.of(classes), classes)
    return Instantiation(use.plan, model, (*use.arguments, argument), instead=instead)


def _width_of(model: Model, end: int) -> tuple[int, str] | None:
    """The layer, and its field, that gives the units of an output as a literal of the network."""
    node = model.nodes[end]
    shared = {inner.shares for inner in model.layers}
    while True:
        if node.shares is not None or node.id in shared:
            return None  # the layer runs elsewhere, too
        for definition, field in _WIDTHS:
            if type(node.layer) is definition:
                is_literal = field not in dict(node.forms)
                is_own = len(node.frames) <= 1  # the member's; any other is a block's
                given = getattr(node.layer, field)
                is_it = given == model.output.channels and is_literal and is_own
                return (node.id, field) if is_it else None
        before = model.nodes[node.inputs[0]] if len(node.inputs) == 1 else None
        if before is None or before.volume.elements % model.output.channels:
            return None
        node = before


def _is_fixed(lanes: list[Lane]) -> bool:
    """Whether the argument is there but the output does not follow it."""
    return any(
        lane.use.instead and form_of(lane.volume_of(end).channels) != Parameter(NUM_CLASSES)
        for lane in lanes
        for end in [lane.use.plan.output]
    )


def _without_width(use: Instantiation) -> Instantiation:
    own = tuple(a for a in use.arguments if a.name != NUM_CLASSES)
    return Instantiation(use.plan, use.model, own, result_class=use.result_class)
