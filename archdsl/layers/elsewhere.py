"""Names of layers and initializers in other frameworks: none is a misspelling of a word here.

Whoever writes ``selu`` means SELU, not ``elu`` with one letter too many. Read only after a fault.

Sources: the modules of ``torch.nn``, the functions of ``torch.nn.functional`` that are not among
them, and ``torchvision.ops`` (PyTorch 2.14); ``keras.layers`` and ``keras.activations`` (Keras
3.15); the layer catalogue of Caffe 1.0 (``src/caffe/layers``); the operators of ONNX (opset 28);
short names that papers and their code use. Initializers: ``torch.nn.init``,
``keras.initializers`` and Caffe's fillers.
"""

from __future__ import annotations

from collections.abc import Mapping

from archdsl.layers.definition import normal_form

#: Names as they are documented there, by framework.
LAYERS_ELSEWHERE: Mapping[str, str] = {
    "PyTorch": """
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveLogSoftmaxWithLoss
        AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d affine_grid AlphaDropout
        AvgPool1d AvgPool2d AvgPool3d BatchNorm1d BatchNorm2d BatchNorm3d BCELoss
        BCEWithLogitsLoss Bilinear CELU ChannelShuffle CircularPad1d CircularPad2d
        CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d Conv1d Conv2d Conv3d
        conv_tbc ConvTranspose1d ConvTranspose2d ConvTranspose3d CosineEmbeddingLoss
        CosineSimilarity CrossEntropyLoss CrossMapLRN2d CTCLoss DeformConv2d DropBlock2d
        DropBlock3d Dropout Dropout1d Dropout2d Dropout3d ELU Embedding EmbeddingBag
        FeatureAlphaDropout FeaturePyramidNetwork Flatten Fold FractionalMaxPool2d
        FractionalMaxPool3d FrozenBatchNorm2d GaussianNLLLoss GELU GLU grid_sample GroupNorm
        GRU GRUCell gumbel_softmax Hardshrink Hardsigmoid Hardswish Hardtanh
        HingeEmbeddingLoss HuberLoss Identity InstanceNorm1d InstanceNorm2d InstanceNorm3d
        interpolate KLDivLoss L1Loss LayerNorm LazyBatchNorm1d LazyBatchNorm2d
        LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d
        LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d
        LazyInstanceNorm3d LazyLinear LeakyReLU Linear LinearCrossEntropyLoss
        LocalResponseNorm LogSigmoid LogSoftmax LPPool1d LPPool2d LPPool3d LSTM LSTMCell
        MarginRankingLoss MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d
        Mish MLP MSELoss MultiheadAttention MultiLabelMarginLoss MultiLabelSoftMarginLoss
        MultiMarginLoss MultiScaleRoIAlign NLLLoss NLLLoss2d normalize one_hot pad
        PairwiseDistance pdist Permute PixelShuffle PixelUnshuffle PoissonNLLLoss PReLU
        PSRoIAlign PSRoIPool ReflectionPad1d ReflectionPad2d ReflectionPad3d ReLU ReLU6
        ReplicationPad1d ReplicationPad2d ReplicationPad3d RMSNorm RNN RNNCell RoIAlign
        RoIPool RReLU scaled_dot_product_attention SELU Sequential Sigmoid SiLU SmoothL1Loss
        SoftMarginLoss Softmax Softmax2d Softmin Softplus Softshrink Softsign
        SqueezeExcitation StochasticDepth SyncBatchNorm Tanh Tanhshrink Threshold
        Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder
        TransformerEncoderLayer TripletMarginLoss TripletMarginWithDistanceLoss Unflatten
        Unfold Upsample upsample_bilinear upsample_nearest UpsamplingBilinear2d
        UpsamplingNearest2d ZeroPad1d ZeroPad2d ZeroPad3d
    """,
    "Keras": """
        Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
        AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
        AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention Average
        AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D
        BatchNormalization Bidirectional CategoryEncoding celu CenterCrop Concatenate Conv1D
        Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
        ConvLSTM3D Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose
        Convolution3D Convolution3DTranspose Cropping1D Cropping2D Cropping3D Dense
        DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout EinsumDense ELU elu
        Embedding exponential Flatten GaussianDropout GaussianNoise gelu
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
        GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D glu GroupNormalization
        GroupQueryAttention GRU GRUCell hard_shrink hard_sigmoid hard_silu hard_swish
        hard_tanh Identity InputLayer Lambda LayerNormalization leaky_relu LeakyReLU linear
        log_sigmoid log_softmax LSTM LSTMCell Masking Maximum MaxPool1D MaxPool2D MaxPool3D
        MaxPooling1D MaxPooling2D MaxPooling3D Minimum mish MultiHeadAttention Multiply
        Normalization Permute PReLU ReLU relu relu6 RepeatVector Rescaling Reshape Resizing
        RMSNormalization RNN selu SeparableConv1D SeparableConv2D SeparableConvolution1D
        SeparableConvolution2D sigmoid silu SimpleRNN SimpleRNNCell soft_shrink Softmax
        softmax softplus softsign sparse_plus sparse_sigmoid sparsemax SpatialDropout1D
        SpatialDropout2D SpatialDropout3D SpectralNormalization squareplus StackedRNNCells
        Subtract swish tanh tanh_shrink threshold ThresholdedReLU TimeDistributed
        UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
        ZeroPadding3D
    """,
    "Caffe": """
        AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Clip Concat Convolution Crop
        Data Deconvolution Dropout DummyData Eltwise ELU Embed Exp Filter Flatten HDF5Data
        HDF5Output Im2col ImageData InnerProduct Input Log LRN LSTM MemoryData MVN Parameter
        Pooling Power PReLU Python Reduction ReLU Reshape RNN Scale Sigmoid Silence Slice
        Softmax SoftmaxWithLoss Split SPP Swish TanH Threshold Tile WindowData
    """,
    "ONNX": """
        Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention
        AveragePool BatchNormalization Bernoulli BitCast BitShift BitwiseAnd BitwiseNot
        BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu
        CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant
        ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DeformConv
        DepthToSpace DequantizeLinear Det DFT Div Dropout DynamicQuantizeLinear Einsum Elu
        Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm
        GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
        GroupNormalization GRU HammingWindow HannWindow Hardmax HardSigmoid HardSwish
        Identity If ImageDecoder InstanceNormalization IsInf IsNaN LayerNormalization
        LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization
        LpPool LRN LSTM MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean
        MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
        NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional
        OptionalGetElement OptionalHasElement Or Pad Pow PRelu QLinearConv QLinearMatMul
        QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
        Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
        ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize
        ReverseSequence RMSNormalization RNN RoiAlign RotaryEmbedding Round Scan Scatter
        ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty
        SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign
        Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth
        Split SplitToSequence Sqrt Squeeze STFT StringConcat StringNormalizer StringSplit
        Sub Sum SwiGLU Swish Tan Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile
        TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
    """,
    "published code": """
        ACON AdaIN ArcFace ASPP Attn CBAM CoordConv CReLU DConv DyReLU ECA FReLU GDN GeGLU
        GeM GRN HardSiLU LIP Maxout MetaAconC MHA NonLocal PConv ReGLU ResizeConv SDPA SE
        SENet ShakeDrop SimAM SKConv SmeLU SPPF StarReLU SwitchNorm WSConv
    """,
}

INITIALIZERS_ELSEWHERE: Mapping[str, str] = {
    "PyTorch": """
        constant dirac eye kaiming_normal kaiming_uniform normal ones orthogonal sparse
        trunc_normal uniform xavier_normal xavier_uniform zeros
    """,
    "Keras": """
        Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer
        LecunNormal LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal
        RandomUniform STFT TruncatedNormal VarianceScaling Zeros
    """,
    "Caffe": """
        bilinear constant gaussian msra positive_unitball uniform xavier
    """,
    "published code": """
        fixup lecun lsuv skipinit
    """,
}


def places_of(word: str, names: Mapping[str, str]) -> dict[str, str]:
    """The frameworks in which a word names something, each with the name as it is written there.

    ``maxunpool`` counts as well, although PyTorch has ``MaxUnpool1d``, ``2d`` and ``3d``.
    """
    wanted = normal_form(word)
    found: dict[str, str] = {}
    for place, listed in names.items():
        for name in listed.split():
            if wanted in _forms(name):
                found.setdefault(place, name if wanted == normal_form(name) else name[:-2])
    return found


def forms_of(names: Mapping[str, str]) -> set[str]:
    """All names in their normal form, with and without a number of dimensions."""
    return {form for listed in names.values() for name in listed.split() for form in _forms(name)}


def _forms(name: str) -> tuple[str, ...]:
    form = normal_form(name)
    return (form, form[:-2]) if form[-2:] in ("1d", "2d", "3d") else (form,)


def missing_here(word: str, names: Mapping[str, str], kind: str) -> str | None:
    """The help for a word that names something elsewhere: "`SELU` is a layer of Keras that …"."""
    places = places_of(word, names)
    if not places:
        return None
    name = next(iter(places.values()))
    *others, last = places
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"`{name}` is {kind} of {listed} that this language does not have"
