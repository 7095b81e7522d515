"""Rules about volumes that do not fit, and claims that do not hold."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "branch-size-mismatch",
        "branches of a merge differ in size",
        """`concat` joins channels, so its branches must agree in height and width; merges that
        work element by element, such as `add`, need equal volumes. A window of size k without
        padding shortens an axis: (28 + 2·0 − 5)/1 + 1 = 24. With stride 1 and an odd k, `same`
        keeps the size by padding (k − 1)/2 on each side.""",
        "concat { conv 1x1 64 | conv 5x5 32 }",
        "concat { conv 1x1 64 | conv 5x5 32 same }",
        _MAP,
    ),
    Rule(
        "kernel-larger-than-input",
        "a window larger than its padded input",
        """A window of size k with dilation d spans d(k − 1) + 1 positions. On an input of n with
        padding p the result has ⌊(n + 2p − d(k − 1) − 1)/s⌋ + 1 positions for stride s, and none
        where the window does not fit (Dumoulin & Visin, A guide to convolution arithmetic
        for deep learning, 2016). Usually earlier strides and pools have shrunk the image more
        than intended.""",
        "maxpool 13; conv 5x5 8",
        "maxpool 4; conv 5x5 8",
        _MAP,
    ),
    Rule(
        "indivisible-channels",
        "channels that cannot be split into equal groups",
        """With g groups each group reads C/g of the input channels and makes n/g of the n results.
        Both must be whole numbers. 16 channels can be split into 1, 2, 4, 8 or 16 groups, not
        into 3.""",
        "conv 3x3 48 g3",
        "conv 3x3 48 g4",
        _MAP,
    ),
    Rule(
        "needs-image",
        "a layer of images applied to a vector, or to other volumes",
        """Convolutions and pools move a window over height and width. After `flatten` or `fc` the
        volume is a vector and has neither. Put such layers before that. A few layers, such as
        `pixelshuffle`, are for images alone: they refuse 1-D and 3-D volumes, too.""",
        "fc 10; conv 3x3 8",
        "conv 3x3 8; fc 10",
        _MAP,
    ),
    Rule(
        "wrong-axes",
        "a size with numbers for other axes than those of the volume",
        """A size is one number, which is for each axis of the volume, or it has a number for each
        of them: `3x3` on an image, `3x3x3` on a 3-D volume, and only `3` on a 1-D volume. Nothing
        is added for an axis that a size does not mention. The padding of `pad` is one number, or
        two for each axis. An interpolation has PyTorch's name: `linear` on a 1-D volume,
        `bilinear` on an image, `trilinear` on a 3-D volume.""",
        "conv 3x3 64",
        "conv 3 64",
        (16000, 1),
    ),
    Rule(
        "wrong-padding",
        "padding that the layer does not allow",
        """A pool's padding is at most half its kernel, as in PyTorch: otherwise a window could lie
        in the padding alone and would have nothing to take the maximum of. For a kernel of 3 that
        is 1. What `pad` mirrors with `reflect` is less than the input, as the border itself is not
        repeated.""",
        "maxpool 3 p2",
        "maxpool 3 p1",
        _MAP,
    ),
    Rule(
        "empty-volume",
        "a volume without elements",
        """A size came out as zero or less. For a transposed convolution the result has
        (n − 1)·s − 2p + d(k − 1) + 1 positions, so a large padding takes more away than there
        is.""",
        "deconv 2x2 8 p40",
        "deconv 2x2 8 s2",
        _MAP,
    ),
    Rule(
        "wrong-volume",
        "a volume that differs from the one written",
        """A volume after `→` is a check, and so is the output of a network. The message shows the
        arithmetic that leads to the actual one. Here (28 + 2·0 − 3)/1 + 1 = 26, so the convolution
        without padding loses a row and a column on each side.""",
        "conv 3x3 64 → 28x28x64",
        "conv 3x3 64 same → 28x28x64",
        _MAP,
    ),
    Rule(
        "failed-claim",
        "a claim of `expect` that does not hold",
        """`expect` states a number from a paper, and the network as written has another. `=` is
        exact, `~` holds when both are equal after rounding to the digits written. Either a layer
        differs from the paper, often a bias or a padding, or the claim counts differently. Here
        a matrix of 192×10 and 10 biases are 1,930 parameters.""",
        "network Small: 8x8x3 → 10 { fc 10; expect params = 1_920 }",
        "network Small: 8x8x3 → 10 { fc 10; expect params = 1_930 }",
    ),
    Rule(
        "internal-error",
        "a network that contradicts its own layers",
        """The volume of each layer is inferred twice: while the text is read, and once more from
        the finished graph. Both agree, and each layer reads only what comes before it. Where that
        is not so, archdsl is wrong, not the text: please report it with the spec.""",
        reason="No spec is known to cause it.",
    ),
)
