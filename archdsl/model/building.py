"""From an elaborated network to its Model."""

from __future__ import annotations

from dataclasses import replace

from archdsl.classplan import name_nodes, plan_modules
from archdsl.collector import without_collector
from archdsl.model.claims import judge_claims
from archdsl.model.consistency import find_contradictions, find_misplaced_keys
from archdsl.model.cost import count_costs
from archdsl.model.model import Model, PartialModel
from archdsl.network.elaborated import Elaborated
from archdsl.network.graph import build_graph
from archdsl.text.diagnostics import Diagnostic


@without_collector()
def build_partial(network: Elaborated) -> PartialModel:
    """Cost what is known of a network that is refused."""
    return PartialModel(
        network.name,
        network.source,
        network.span,
        network.nodes,
        build_graph(network.nodes),
        network.chain,
        {},
        count_costs(network.nodes, network.unknown),
        recipe=network.recipe,
        outputs=network.outputs,
        faults=network.faults,
        unknown=network.unknown,
        is_complete=network.is_complete,
    )


@without_collector()
def build_model(network: Elaborated, diagnostics: list[Diagnostic]) -> Model:
    """Cost, name and verify an elaborated network; faults go into the list."""
    graph = build_graph(network.nodes)
    # The Model makes a plan to keep when it is asked for one.
    plan = plan_modules(network.name, network.nodes, network.chain, network.outputs, for_names=True)
    names = name_nodes(plan, network.nodes)
    diagnostics += find_contradictions(graph, names)
    # A block is in the plan once for each call, and a family in that of each member.
    misplaced = dict.fromkeys(find_misplaced_keys(plan, network.nodes))
    diagnostics += [fault for fault in misplaced if fault not in diagnostics]
    model = Model(
        network.name,
        network.source,
        network.span,
        network.nodes,
        graph,
        network.chain,
        names,
        count_costs(network.nodes),
        recipe=network.recipe,
        init=network.init,
        outputs=network.outputs,
        member=network.member,
        heading=network.heading,
        comment=network.comment,
    )
    claims, unknown = judge_claims(model, network.expects)
    diagnostics += unknown
    return replace(model, claims=claims)
