"""Rules about training, and about the emitted module in torch."""

from archdsl.rules.rule import Rule

RULES = (
    Rule(
        "memory-exceeded",
        "a batch that takes more memory than there is",
        """Training keeps the weights, their gradients, the optimizer's state and, for each image
        of the batch, the activations that the backward pass reads. Only the last grows with the
        batch, so a smaller batch is the first remedy; mixed precision (`--precision bf16`) makes
        most activations half as large.""",
        reason="It takes a limit on the command line: "
        "`archdsl check --training --batch 256 --memory 8G SPEC`.",
    ),
    Rule(
        "torch-disagrees",
        "a number that differs in the emitted module",
        """`archdsl check --prove` runs the emitted module on PyTorch's meta device, which has
        shapes and no numbers, and compares each volume, parameter count and MAC with those of
        `check`. Then it runs the module, and the one for inference, on random images with random
        parameters, and compares outputs, gradients and buffers with those of the spec's graph,
        whose layers are run one by one. They agree for every layer of the language. Where they do
        not, archdsl is wrong, or this version of PyTorch counts differently: please report it
        with the spec.""",
        reason="No spec is known to cause it.",
    ),
)
