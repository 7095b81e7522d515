"""What a Model says its module is: layers by name, and each step between tensors.

All of it is read from the Model's graph and the definitions of its layers. The calls that these
emit are executed with the same stand-ins as the module itself, and without ``codegen``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from archdsl.classplan import argument_name, field_name
from archdsl.layers import Call, Initializer, Layer, MergeLayer, UnaryLayer, WeightLayer
from archdsl.layers.call import Code, InfixCode
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.graph import Node, label_of, sources_in
from archdsl.network.parts import AuxPart, walk
from archdsl.validation.layers import freeze_all
from archdsl.validation.library import Torch, bind_initializer
from archdsl.validation.signatures import Signature
from archdsl.validation.values import Arguments, Frozen, Tensor, flatten

#: The function that fills a tensor, and its other arguments.
InitialState: TypeAlias = tuple[str, Arguments]
#: The calls of one network's nodes; equal layers with equal volumes share one.
Calls: TypeAlias = dict[int, Call]
Memo: TypeAlias = dict[tuple[Layer, Volume], Call]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A module that a node of the Model becomes, or a part of it."""

    callee: str
    arguments: Arguments
    node: Node


def emit_calls(model: Model, memo: Memo) -> Calls:
    """The call of each node that is a module, as its definition emits it."""
    found = {}
    for node in model.layers:
        if isinstance(node.layer, UnaryLayer):
            key = (node.layer, model.nodes[node.inputs[0]].volume)
            call = memo.get(key)
            if call is None:
                call = memo[key] = node.layer.emit(key[1])
            found[node.id] = call
    return found


def initializing_calls(model: Model) -> Iterator[Call]:
    """The calls that fill the weights of a network."""
    own = (n.layer.init for n in model.layers if isinstance(n.layer, WeightLayer))
    for init in {model.init, *own} - {None}:
        assert init is not None
        yield init.emit(Code("tensor"))
        yield init.emit_bias(Code("tensor"))


def calls_within(call: Call) -> Iterator[Call]:
    """A call and those among its arguments."""
    yield call
    for arg in call.args:
        if isinstance(arg.value, Call):
            yield from calls_within(arg.value)


class StepNumbering:
    """The steps of a network from tensor to tensor, each with a number.

    A step is a function and the numbers of its operands. Equal steps have the same number, so two
    networks have the same graph where they make the same numbers.
    """

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.ids: dict[tuple[Frozen, ...], int] = {}
        #: By number, the node that takes the step; None for flattening, which belongs to no node,
        #: and for the inputs, which come first.
        self.owners: list[Node | None] = [None] * inputs
        self.node: Node | None = None
        #: The steps of that node so far, without flattening.
        self.taken: list[int] = []

    def operate(self, function: str, *arguments: Frozen) -> Tensor:
        return Tensor(self, self.number((function, *arguments)))

    def number(self, step: tuple[Frozen, ...]) -> int:
        id = self.ids.get(step)
        is_flattening = is_free(step)
        if id is None:
            id = self.ids[step] = len(self.owners)
            self.owners.append(None if is_flattening else self.node)
        if not is_flattening:
            self.taken.append(id)
        return id


def is_free(step: tuple[Frozen, ...]) -> bool:
    """Whether a step may be taken any number of times: flattening, which belongs to no node."""
    # A layer of that name has a number for its operand.
    return step[0] == "flatten" and len(step) == 2 and type(step[1]) is tuple


class Expected:
    """What the module of one Model has to be."""

    def __init__(
        self, model: Model, calls: Calls, torch: Torch, helpers: Mapping[str, Signature]
    ) -> None:
        self.model = model
        self.torch = torch
        self.helpers = helpers
        self.flow = StepNumbering(len(model.inputs))
        self.wanted: dict[str, Wanted] = {}
        #: By path, how many results a module returns where there are several.
        self.pieces: Counter[str] = Counter()
        #: By node, how its weight and its bias are initialized.
        self.starts: dict[int, tuple[InitialState, InitialState | None]] = {}
        self._frozen: dict[int, list[tuple[str, str, Arguments]]] = {}
        self._started: dict[tuple[Initializer, bool], tuple[InitialState, InitialState | None]] = {}
        self._results = {node.id: node.id for node in model.inputs}
        taken: dict[bool, list[int]] = {True: [], False: []}
        for node in model.layers:
            steps = self._add(node, calls)
            taken[True] += steps
            if node.head is None:
                taken[False] += steps
        #: How often each step is taken, without flattening, by whether the network trains.
        self.steps = {is_training: Counter(steps) for is_training, steps in taken.items()}
        heads = [part for part in walk(model.chain) if isinstance(part, AuxPart)]
        self.weights = tuple(head.weight for head in heads)
        ends = [*model.ends, *(head.body.output for head in heads)]
        #: The numbers of the network's outputs in training; in evaluation those of the heads are
        #: left out.
        self.outputs = [self._results[end] for end in ends]
        #: What `forward` calls its inputs and its outputs, where these have names.
        self.arguments = [argument_name(label) for n in model.inputs if (label := label_of(n))]
        self.fields = tuple(field_name(output.name) for output in model.outputs)

    # ── Nodes ────────────────────────────────────────────────────────────────────────────────

    def _add(self, node: Node, calls: Calls) -> list[int]:
        """The steps of a node."""
        layer, flow = node.layer, self.flow
        flow.node, flow.taken = node, []
        sources = [self._results[source] for source in sources_in(self.model.graph, node.id)]
        if isinstance(layer, UnaryLayer):
            result = self._add_modules(node, layer, calls[node.id], sources[0])
        elif isinstance(layer, MergeLayer):
            result = self._add_merge(layer, sources)
        else:
            result = self._add_piece(node, sources[0])
        self._results[node.id] = result
        return flow.taken

    def _add_modules(self, node: Node, layer: UnaryLayer, call: Call, x: int) -> int:
        if layer.flattens and not self.model.nodes[node.inputs[0]].volume.is_vector:
            x = flatten(Tensor(self.flow, x), 1).id
        name = self.model.names[node.id]
        for suffix, callee, arguments in self._modules_of(call):
            path = name + suffix
            if node.shares is None:
                self.wanted[path] = Wanted(callee, arguments, node)
            elif (self.wanted[path].callee, self.wanted[path].arguments) != (callee, arguments):
                raise AssertionError(f"{path} is shared, but not the same module for all")
            x = self.flow.number((path, x))
        if (
            node.shares is None
            and isinstance(layer, WeightLayer)
            and (init := layer.init or self.model.init)
        ):
            self.starts[node.id] = self._starts_of(init, layer.bias)
        return x

    def _add_merge(self, layer: MergeLayer, sources: list[int]) -> int:
        names = [f"x{index}" for index in range(len(sources))]
        operands = {n: Tensor(self.flow, s) for n, s in zip(names, sources, strict=True)}
        joined: Tensor = self._evaluate(layer.combine(tuple(map(Code, names))), operands)
        return joined.id

    def _add_piece(self, node: Node, x: int) -> int:
        path = self.model.names[node.inputs[0]]
        index = self.pieces[path]
        self.pieces[path] += 1
        return self.flow.number(("piece", x, index))

    # ── Calls ────────────────────────────────────────────────────────────────────────────────

    def _modules_of(self, call: Call) -> list[tuple[str, str, Arguments]]:
        """What ``describe`` yields, cached by the identity of the call: all calls stay alive."""
        found = self._frozen.get(id(call))
        if found is None:
            found = self._frozen[id(call)] = list(self.describe(call))
        return found

    def describe(self, call: Call, path: str = "") -> Iterator[tuple[str, str, Arguments]]:
        """The modules of a layer: the path below its own, what is called, and the arguments."""
        if call.callee == "nn.Sequential":
            for index, arg in enumerate(call.args):
                assert isinstance(arg.value, Call)
                yield from self.describe(arg.value, f"{path}.{index}")
            return
        yield path, call.callee, self._arguments_of(call)

    def _arguments_of(self, call: Call) -> Arguments:
        signature = self.helpers.get(call.callee) or self.torch.signature_of(call.callee)
        args, kwargs = _split(call)
        args = [_Module(self, value) if isinstance(value, Call) else value for value in args]
        for name, value in kwargs.items():
            if isinstance(value, Call):
                kwargs[name] = _Module(self, value)
        return freeze_all(signature(*args, **kwargs))

    def _starts_of(self, init: Initializer, bias: bool) -> tuple[InitialState, InitialState | None]:
        key = (init, bias)
        if key not in self._started:
            tensor = Code("tensor")
            weight = self._start(init.emit(tensor))
            self._started[key] = weight, self._start(init.emit_bias(tensor)) if bias else None
        return self._started[key]

    def _start(self, call: Call) -> InitialState:
        args, kwargs = _split(call)
        _, arguments = bind_initializer(self.torch.signature_of(call.callee), args, kwargs)
        return call.callee, arguments

    def _evaluate(self, value: Any, operands: Mapping[str, Tensor]) -> Any:
        """The value of the expression that joins branches."""
        match value:
            case Code():
                return operands[value]
            case InfixCode(operator=operator, operands=inner):
                values = [self._evaluate(item, operands) for item in inner]
                return reduce(_OPERATORS[operator], values)
            case Call():
                args, kwargs = _split(value)
                given = {name: self._evaluate(item, operands) for name, item in kwargs.items()}
                function = self.torch.function(value.callee)
                result = function(*(self._evaluate(item, operands) for item in args), **given)
                return self._behind(value.then, result, operands)
            case tuple():
                return tuple(self._evaluate(item, operands) for item in value)
            case _:
                return value

    def _behind(self, method: Call | None, of: Any, operands: Mapping[str, Tensor]) -> Any:
        """The value of a method call on a result, and of the method calls chained to it."""
        if method is None:
            return of
        args, kwargs = _split(method)
        given = {name: self._evaluate(item, operands) for name, item in kwargs.items()}
        arguments = [self._evaluate(item, operands) for item in args]
        return self._behind(method.then, getattr(of, method.callee)(*arguments, **given), operands)

    def modules_by_node(self) -> dict[int, list[str]]:
        """The paths of the modules of each node."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for path, wanted in self.wanted.items():
            found[wanted.node.id].append(path)
        return found


@dataclass(frozen=True, slots=True)
class _Module:
    """A module as an argument of another one."""

    expected: Expected
    call: Call

    @property
    def frozen(self) -> Frozen:
        arguments = self.expected._arguments_of(self.call)
        return ("module", self.call.callee, tuple(arguments.items()))


_OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "@": lambda a, b: a @ b,
}


def _split(call: Call) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call by place and by name, PyTorch's defaults among them."""
    args = [arg.value for arg in call.args if arg.keyword is None]
    return args, {arg.keyword: arg.value for arg in call.args if arg.keyword is not None}
