"""What a module does as a NetworkX graph, and what its Model says it does as another.

``validate`` compares step by step, since it must say which step is wrong and at which line. Equal
steps have equal numbers there, so two runs have the same graph where they make the same numbers: it
needs no graph for that, and NetworkX takes longer to import than a module takes to validate. The
graphs are for those who want to look at a module, or to compare it in another way. Each is made
without the other; they are equal where ``validate`` finds no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from archdsl.model import Model
from archdsl.validation.comparing import ComparedNetwork
from archdsl.validation.expected import StepNumbering
from archdsl.validation.subject import Subject
from archdsl.validation.values import Arguments, Frozen, Tensor

if TYPE_CHECKING:
    import networkx

#: By whether the network trains.
Graphs: TypeAlias = "dict[bool, networkx.MultiDiGraph[str]]"
#: What is called, and its arguments.
_Call: TypeAlias = tuple[str, Arguments]


def expected_graphs(source: str, models: Mapping[str, Model]) -> dict[str, Graphs]:
    """What each Model says its network does; of the text, only helper classes are used.

    A node is a layer by its name in the module, with ``call``, or a function of tensors; ``times``
    is how often it is computed. An edge goes from an operand to its reader, with the operand's
    place as its key.
    """
    subject = Subject(source, models, is_foreign=False)
    found: dict[str, Graphs] = {}
    for name in models:
        expected = subject.expect(name)
        calls = {p: (w.callee, w.arguments) for p, w in expected.wanted.items()}
        found[name] = {
            mode: _graph(expected.flow, steps, calls) for mode, steps in expected.steps.items()
        }
    return found


def recorded_graphs(source: str, models: Mapping[str, Model]) -> dict[str, Graphs]:
    """What each network of a module does, recorded from its runs and not compared with its Model.

    Errors:
        InvalidModuleError: what keeps the module from running.
    """
    subject = Subject(source, models, is_foreign=False)
    found: dict[str, Graphs] = {}
    for name in models:
        with subject.emitted.blaming(name):
            network = ComparedNetwork(subject.build(name), subject.expect(name))
            calls: dict[str, _Call] = {}
            for path, leaf in network.leaves.items():
                calls[path] = leaf.callee, leaf.arguments
                is_passing = leaf.callee in ("nn.Flatten", "nn.Identity")
                if not is_passing or path in network.expected.wanted:
                    leaf.__dict__["path"] = path
            for path, count in network.expected.pieces.items():
                if path in network.leaves:
                    network.leaves[path].__dict__["pieces"] = count
            found[name] = {mode: _record(network, mode, calls) for mode in (True, False)}
    return found


def _record(
    network: ComparedNetwork, is_training: bool, calls: Mapping[str, _Call]
) -> networkx.MultiDiGraph[str]:
    for module in network.containers:
        module.__dict__["training"] = is_training
    count = len(network.expected.model.inputs)
    flow = StepNumbering(count)
    network.module(*(Tensor(flow, number) for number in range(count)))
    return _graph(flow, Counter(flow.taken), calls)


def _graph(
    flow: StepNumbering, steps: Mapping[int, int], calls: Mapping[str, _Call]
) -> networkx.MultiDiGraph[str]:
    import networkx

    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    made = {id: step for step, id in flow.ids.items()}
    count = flow.inputs
    runs = Counter(step[0] for step in made.values() if _is_layer(step))
    labels = {id: "the input" if count == 1 else f"input {id + 1}" for id in range(count)}
    graph.add_nodes_from(labels.values())
    for id, step in made.items():
        inner = ", ".join(labels[source] for source in _sources(step))
        # A layer that runs several times is a node for each.
        labels[id] = step[0] if _is_layer(step) and runs[step[0]] == 1 else f"{step[0]}({inner})"

    def add(id: int) -> None:
        if id < count or labels[id] in graph:
            return
        function, *arguments = made[id]
        said = None if _is_layer(made[id]) else _without_operands(arguments)
        graph.add_node(labels[id], call=calls.get(function), said=said, times=steps.get(id))
        for place, source in enumerate(_sources(made[id])):
            add(source)  # flattening is not counted among the steps
            graph.add_edge(labels[source], labels[id], key=place)

    for id in sorted(steps):
        add(id)
    return graph


def _is_layer(step: tuple[Frozen, ...]) -> bool:
    """Whether a step is a layer, known by its name; functions are known by their operands."""
    return len(step) == 2 and type(step[1]) is int


def _sources(step: tuple[Frozen, ...]) -> list[int]:
    """The operands of a step, in order."""
    if len(step) in (2, 3) and type(step[1]) is int:  # a layer, or a piece of its results
        return [step[1]]
    return list(_operands(step[1:]))


def _operands(value: Frozen) -> Iterable[int]:
    if isinstance(value, tuple):
        if len(value) == 2 and value[0] == "tensor":
            yield value[1]
        else:
            for item in value:
                yield from _operands(item)


def _without_operands(value: Frozen) -> Frozen:
    """The arguments of a function with the place of each operand left open."""
    if isinstance(value, tuple | list):
        if len(value) == 2 and value[0] == "tensor":
            return "tensor"
        return tuple(map(_without_operands, value))
    return value
