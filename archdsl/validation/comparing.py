"""A network of a module, built and run without torch, against its Model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from archdsl.network.graph import Node, label_of
from archdsl.validation.errors import StepMismatchError
from archdsl.validation.expected import Expected, InitialState, is_free
from archdsl.validation.layers import Helper, LayerStandIn
from archdsl.validation.modules import Module
from archdsl.validation.values import Arguments, Frozen, ParameterValue, Tensor, shown

_TIMES = {0: "not at all", 1: "once", 2: "twice"}
#: Layers that may be between two nodes without being one: they change no number.
_PASSING = ("nn.Flatten", "nn.Identity")


class ComparedNetwork:
    """A network as the module builds it: its layers by name, and the modules that hold them."""

    def __init__(self, network: object, expected: Expected) -> None:
        if not isinstance(network, Module):
            raise StepMismatchError("what it builds is not an nn.Module")
        self.module = network
        self.expected = expected
        self.leaves: dict[str, LayerStandIn] = {}
        self.containers: list[Module] = []
        self._collect(network)

    def _collect(self, network: Module) -> None:
        names: dict[int, str] = {}
        stack: list[tuple[str, Module]] = [("", network)]
        while stack:
            path, module = stack.pop()
            if id(module) in names:
                line = module.line if isinstance(module, LayerStandIn) else None
                raise StepMismatchError(
                    f"`{path}` is the same module as `{names[id(module)]}`", line=line
                )
            names[id(module)] = path
            if isinstance(module, LayerStandIn):
                self.leaves[path] = module
                continue
            self.containers.append(module)
            for name in (*module.own_parameters(), *module.own_buffers()):
                full = f"{path}.{name}" if path else name
                raise StepMismatchError(f"`{full}` is a tensor that belongs to no layer")
            start = f"{path}." if path else ""
            inner = module._modules
            stack += [(start + n, m) for n, m in reversed(inner.items()) if m is not None]

    # ── Layers ───────────────────────────────────────────────────────────────────────────────

    def compare_layers(self) -> None:
        """Check that each layer of the Model is there, as its definition constructs it."""
        wanted = self.expected.wanted
        for path, leaf in self.leaves.items():
            found = wanted.get(path)
            if found is None:
                if leaf.callee in _PASSING:
                    continue
                fact = f"`{path}` is a {leaf.callee}; the spec has no layer of that name"
                raise StepMismatchError(fact, line=leaf.line)
            if leaf.callee != found.callee:
                fact = f"`{path}` is a {leaf.callee}; by the spec it is a {found.callee}"
                raise StepMismatchError(fact, line=leaf.line, node=found.node)
            if leaf.arguments != found.arguments:
                fact = f"`{path}` has {_differing(leaf.arguments, found.arguments)}"
                raise StepMismatchError(fact, line=leaf.line, node=found.node)
            leaf.__dict__["path"] = path
            if isinstance(leaf, Helper):
                leaf.__dict__["pieces"] = self.expected.pieces[path]
        for path, found in wanted.items():
            if path not in self.leaves:
                fact = f"it has no `{path}`, by the spec a {found.callee}"
                raise StepMismatchError(fact, node=found.node)
        self._compare_order()

    def _compare_order(self) -> None:
        """Check that the keys of the state dict come in the order of the Model's nodes."""
        stateful = [path for path, leaf in self.leaves.items() if leaf.has_state]
        kept = set(stateful)
        ordered = [path for path in self.expected.wanted if path in kept]
        for found, right in zip(stateful, ordered, strict=True):
            if found != right:
                fact = f"in its state dict `{found}` comes where the spec has `{right}`"
                node = self.expected.wanted[found].node
                raise StepMismatchError(fact, line=self.leaves[found].line, node=node)

    # ── Steps ────────────────────────────────────────────────────────────────────────────────

    def compare_run(self, is_training: bool) -> None:
        """Check that each step of the Model is taken, on the same inputs, and no other."""
        for module in self.containers:
            module.__dict__["training"] = is_training
            module.__dict__["is_running"] = True
        run = ModuleRun(self.expected, is_training)
        try:
            inputs = [Tensor(run, number) for number in range(len(self.expected.model.inputs))]
            names = self.expected.arguments
            # By name, so that the names are compared as well.
            output = (
                self.module(**dict(zip(names, inputs, strict=True)))
                if names
                else self.module(*inputs)
            )
        finally:
            for module in self.containers:
                module.__dict__["is_running"] = False
        found, wanted = Counter(run.taken), self.expected.steps[is_training]
        if found != wanted:
            self._explain_steps(run, found, wanted)
        self._compare_outputs(run, output)

    def _explain_steps(self, run: ModuleRun, found: Counter[int], wanted: Counter[int]) -> None:
        for id in sorted({*found, *wanted}):
            if found[id] != wanted[id]:
                often = (found[id], wanted[id])
                has, right = (_TIMES.get(count, f"{count} times") for count in often)
                fact = f"in {run.mode} {run.name(id)} is computed {has}; by the spec {right}"
                node = self.expected.flow.owners[id]
                raise StepMismatchError(fact, node=node, line=self._line_of(node))

    def _line_of(self, node: Node | None) -> int | None:
        leaf = self.leaves.get(self.expected.model.names.get(node.id, "")) if node else None
        return leaf.line if leaf is not None else None

    def _compare_outputs(self, run: ModuleRun, output: object) -> None:
        wanted = self.expected.outputs
        found = list(output) if isinstance(output, tuple) else [output]
        fields = self.expected.fields
        if fields:
            self._compare_fields(run, output, fields)
            self._compare_ends(run, found, wanted)
            return
        is_due = len(wanted) > 1 and len(found) == len(wanted)
        if not run.is_training:
            # In evaluation, a typed tuple may hold None in the place of a head.
            is_due = is_due and hasattr(output, "_fields")
            found = [found[0], *(item for item in found[1:] if item is not None)]
            wanted = wanted[:1]
        if isinstance(output, tuple) and not is_due:
            raise StepMismatchError(f"in {run.mode} it returns a tuple of {len(output)}")
        self._compare_ends(run, found, wanted)

    def _compare_fields(self, run: ModuleRun, output: object, fields: tuple[str, ...]) -> None:
        """Check that the outputs have their names."""
        found = getattr(output, "_fields", None)
        if not isinstance(output, tuple) or found != fields:
            given = f"the fields {', '.join(found)}" if found else f"a {type(output).__name__}"
            fact = f"in {run.mode} it returns {given}; by the spec the fields {', '.join(fields)}"
            raise StepMismatchError(fact)

    def _compare_ends(self, run: ModuleRun, found: list[object], wanted: list[int]) -> None:
        ids = [item.id if type(item) is Tensor else None for item in found]
        if ids != wanted:
            given = ", ".join("None" if id is None else run.name(id) for id in ids)
            right = ", ".join(map(run.name, wanted))
            owner = self.expected.flow.owners[wanted[0]]
            fact = f"in {run.mode} it returns {given}; by the spec {right}"
            raise StepMismatchError(fact, node=owner)

    # ── What is not a step ───────────────────────────────────────────────────────────────────

    def compare_heads(self) -> None:
        """Check the weights of the heads' losses, in the order of the heads."""
        found = getattr(self.module, "aux_weights", ())
        wanted = self.expected.weights
        is_numbers = isinstance(found, tuple) and all(type(w) in (int, float) for w in found)
        if not is_numbers or found != wanted:
            raise StepMismatchError(f"`aux_weights` is {found!r}; by the spec {wanted}")

    def compare_starts(self) -> None:
        """Check how parameters are initialized: as the spec says, or else as PyTorch does."""
        for path, wanted in self.expected.wanted.items():
            leaf = self.leaves[path]
            start = self.expected.starts.get(wanted.node.id)
            if start is None and leaf.__dict__["_parameters"] is None:
                continue
            for name, parameter in _parameters_of(leaf):
                kind = name.rpartition(".")[2]
                right = None if start is None else {"weight": start[0], "bias": start[1]}.get(kind)
                if parameter.start != right:
                    fact = (
                        f"`{path}.{name}` starts as {_start(parameter.start)}; "
                        f"by the spec as {_start(right)}"
                    )
                    raise StepMismatchError(fact, node=wanted.node)


def _parameters_of(leaf: LayerStandIn) -> Iterable[tuple[str, ParameterValue]]:
    return leaf.named_parameters() if leaf._modules else leaf.own_parameters().items()


def _start(start: InitialState | None) -> str:
    if start is None:
        return "PyTorch's own"
    name, arguments = start
    said = ", ".join(f"{word}={shown(value)}" for word, value in arguments.items())
    return f"{name}({said})"


def _differing(found: Arguments, wanted: Arguments) -> str:
    names = dict.fromkeys([*found, *wanted])
    ours = [n for n in names if n not in found or n not in wanted or found[n] != wanted[n]]
    has, right = (
        ", ".join(
            f"{name}={shown(values[name])}" if name in values else f"no {name}" for name in ours
        )
        for values in (found, wanted)
    )
    return f"{has}; by the spec {right}"


class ModuleRun:
    """One pass: each step is looked up among those of the Model as it is taken."""

    def __init__(self, expected: Expected, is_training: bool) -> None:
        self.expected = expected
        self.is_training = is_training
        self.mode = "training" if is_training else "evaluation"
        self.ids = expected.flow.ids
        self.allowed = expected.steps[is_training]
        self.taken: list[int] = []

    def operate(self, *step: Frozen) -> Tensor:
        id = self.ids.get(step)
        if id in self.allowed:
            assert id is not None
            self.taken.append(id)
        elif id is None or not is_free(step):
            self._refuse(step, id)
        return Tensor(self, id)  # type: ignore[arg-type]

    def _refuse(self, step: tuple[Any, ...], id: int | None) -> None:
        function, *arguments = step
        wanted = self.expected.wanted.get(function) if len(step) == 2 else None
        if id is not None:
            owner = self.expected.flow.owners[id]
            fact = f"{self.name(id)} is computed in {self.mode}; by the spec only in training"
            raise StepMismatchError(fact, node=owner)
        if wanted is not None:
            right = next(s[1] for s in self.ids if s[0] == function and len(s) == 2)
            fact = f"`{function}` reads {self.name(arguments[0])}; by the spec {self.name(right)}"
            raise StepMismatchError(fact, node=wanted.node)
        names = ", ".join(map(self._shown, arguments))
        near = self._nearest(function, arguments)
        fact = f"it computes {function}({names}), which the spec does not have"
        if near is not None:
            fact += f"; the nearest is {self.name(near)}"
        owner = self.expected.flow.owners[near] if near is not None else None
        raise StepMismatchError(fact, node=owner)

    def _nearest(self, function: str, arguments: list[Frozen]) -> int | None:
        """The step of the Model that has most in common with one that it does not have."""
        operands = set(_operands(arguments))
        best, score = None, 0
        for step, id in self.ids.items():
            if step[0] in self.expected.wanted or id in self.taken:
                continue
            shared = 2 * len(operands & set(_operands(step))) + (step[0] == function)
            if shared > score and shared > 1:
                best, score = id, shared
        return best

    def _shown(self, value: Frozen) -> str:
        match value:
            case ("tensor", id):
                return self.name(id)
            case ("tuple", *items):
                return f"({', '.join(map(self._shown, items))})"
            case _:
                return shown(value)

    def name(self, id: int) -> str:
        """A value by the node that computes it."""
        inputs = self.expected.model.inputs
        if id < len(inputs):
            label = label_of(inputs[id])
            return f"the input `{label}`" if label else "the input"
        owner = self.expected.flow.owners[id]
        if owner is None:
            step = next(step for step, known in self.ids.items() if known == id)
            return f"the vector of {self.name(step[1][1])}"
        name = self.expected.model.names.get(owner.id)
        if name:
            return f"`{name}`"
        index = next(step[2] for step, known in self.ids.items() if known == id)
        return f"piece {index + 1} of `{self.expected.model.names[owner.inputs[0]]}`"


def _operands(value: Frozen) -> Iterable[int]:
    """The numbers of the tensors in frozen arguments."""
    if isinstance(value, tuple | list):
        if len(value) == 2 and value[0] == "tensor":
            yield value[1]
            return
        for item in value:
            yield from _operands(item)
