"""Caffe's networks (``.prototxt``) and weights (``.caffemodel``), as a graph and its judge.

Read as BVLC/caffe reads them in ``src/caffe/net.cpp`` and ``src/caffe/layers``. Batch normalization
and the `Scale` behind it are one `bn`, whose momentum is the weight of a new batch in the average
once that has seen many.
"""

from __future__ import annotations

from archdsl.frontend import Inputs
from archdsl.importing.building import Faults, GraphBuilder, RandomWeights, UnknownResult
from archdsl.importing.errors import Refused
from archdsl.importing.files import FileSource, State
from archdsl.importing.from_caffe.building import CaffeBuilder
from archdsl.importing.from_caffe.judge import CaffeRun
from archdsl.importing.from_caffe.layers import KINDS
from archdsl.importing.from_caffe.names import name_operations
from archdsl.importing.from_caffe.net import CaffeLayer, read_net
from archdsl.importing.from_caffe.prototxt import BadText, read_prototxt
from archdsl.importing.from_caffe.weights import load_caffe
from archdsl.importing.graph import INPUT, is_input
from archdsl.layers import LayerError


def read_caffe(
    text: str, name: str, weights: bytes | None, input: Inputs | None = None
) -> FileSource:
    """The network of a prototxt, with the weights of a file or random ones.

    The results are what the losses with the largest weight read, or what no layer reads; what other
    losses read are heads. ``input`` has the volumes of the inputs where the text does not say them.

    Errors:
        WrongSource: what is no network, and weights that are not those of this one.
        NotInTheLanguage: all that the language cannot say, each with its line.
    """
    faults = Faults(name)
    try:
        net = read_net(read_prototxt(text), input, faults)
    except BadText as fault:
        faults.wrong.append(str(fault))
    faults.raise_any()
    builder = GraphBuilder(name, net.inputs)
    adder = CaffeBuilder(builder, net)
    known = {of: INPUT - number for number, of in enumerate(net.images)}
    for layer in net.layers:
        try:
            _read(layer, adder, known)
        except BadText as fault:
            faults.wrong.append(str(fault))
        except (Refused, LayerError) as fault:
            faults.reasons.append(f"{layer.place}: {fault}")
        except UnknownResult:
            pass
    faults.raise_any()
    outputs = {output: known[of] for output, of in net.outputs.items()}
    trunk = builder.behind(outputs.values())
    for layer in net.layers:
        if layer.is_of_training and any(known[of] in trunk for of in layer.makes):
            faults.reasons.append(f"{layer.place}: only training has this layer")
    for output, of in outputs.items():
        if is_input(of):
            faults.wrong.append(f"`{output}` is the input itself, which no layer has changed")
    faults.raise_any()
    name_operations(builder, adder.names)
    graph, numbers = builder.finish(outputs, [(known[of], weight) for of, weight in net.heads])
    firsts = graph.owners
    owners = {layer: firsts[numbers[of]] for layer, of in adder.owners.items() if of in numbers}
    state: State = RandomWeights(graph)
    if weights is not None:
        state = load_caffe(weights, graph, net.layers, owners)
    volumes = {of: builder.volume(at) for of, at in known.items()}
    run = CaffeRun(net, owners, volumes)
    return FileSource(graph, state, run, "Caffe's rules", weights is not None)


def _read(layer: CaffeLayer, made: CaffeBuilder, known: dict[int, int]) -> None:
    """Add the operations of a layer, and the numbers of its results."""
    if layer.kind not in KINDS:
        raise Refused("there is no such layer in the language")
    kind = KINDS[layer.kind]
    made.check(layer, kind)
    if any(of not in known for of in layer.reads):
        raise UnknownResult
    results = kind.add(made, layer, [known[of] for of in layer.reads])
    known |= dict(zip(layer.makes, results, strict=True))
