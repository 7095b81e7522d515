"""Words of training in other frameworks: none of them is a misspelling of a recipe's option.

Read only after a fault. Sources: ``torch.optim``, ``torch.optim.lr_scheduler``, the losses of
``torch.nn`` and ``torchvision.transforms`` (PyTorch 2.14); ``keras.optimizers``,
``keras.optimizers.schedules``, ``keras.losses`` and the layers that change images (Keras
3.15); solvers, learning-rate policies and loss layers of Caffe 1.0; the training operators of ONNX;
and names that papers and their code use.
"""

from __future__ import annotations

from collections.abc import Mapping

from archdsl.recipe.definition import RecipeRole

_OPTIMIZERS: Mapping[str, str] = {
    "PyTorch": """
        ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD
        SparseAdam
    """,
    "Keras": """
        Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer
        MultiOptimizer Muon Nadam RMSprop SGD ScheduleFreeAdamW
    """,
    "Caffe": "AdaDelta AdaGrad Adam Nesterov RMSProp SGD",
    "ONNX": "Adagrad Adam Momentum",
    "published code": """
        AdaBelief AdaBound AdaHessian AdamP AdaMod AdEMAMix AMSGrad AMSBound Apollo ASAM CAdam
        DAdapt Grams LARC LARS LDAdam Lookahead MADGRAD MSVAG NovoGrad Prodigy QHAdam Ranger SAM
        SGDP SGDW Shampoo SOAP Sophia SWA SWATS Yogi
    """,
}

_SCHEDULES: Mapping[str, str] = {
    "PyTorch": """
        ChainedScheduler ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR
        ExponentialLR LambdaLR LinearLR MultiStepLR MultiplicativeLR OneCycleLR PolynomialLR
        ReduceLROnPlateau SequentialLR StepLR
    """,
    "Keras": """
        CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
        PolynomialDecay
    """,
    "Caffe": "exp fixed inv multistep poly sigmoid step",
    "published code": """
        Constant Cosine_Annealing Cyclic Exponential Inverse_Sqrt Linear Noam OneCycle Polynomial
        SGDR Trapezoid Triangular WSD
    """,
}

_AUGMENTATIONS: Mapping[str, str] = {
    "PyTorch": """
        AugMix AutoAugment CenterCrop ColorJitter CutMix ElasticTransform FiveCrop GaussianBlur
        GaussianNoise Grayscale JPEG LinearTransformation MixUp Normalize Pad RandAugment
        RandomAdjustSharpness RandomAffine RandomApply RandomAutocontrast RandomChannelPermutation
        RandomChoice RandomCrop RandomOrder
        RandomEqualize RandomErasing RandomGrayscale RandomHorizontalFlip RandomInvert RandomIoUCrop
        RandomPerspective RandomPhotometricDistort RandomPosterize RandomResize RandomResizedCrop
        RandomRotation RandomShortestSize RandomSolarize RandomVerticalFlip RandomZoomOut Resize
        ScaleJitter TenCrop TrivialAugmentWide hflip vflip
    """,
    "Keras": """
        AugMix AutoContrast CenterCrop CutMix Equalization MixUp RandAugment RandomBrightness
        RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
        RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
        RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
        RandomShear RandomTranslation RandomZoom Rescaling Resizing Solarization
    """,
    "Caffe": "crop_size mean_file mirror scale",
    "published code": """
        Blur Brightness Contrast CutOut Erase Erasing Gray GridMask Hue Invert Jitter Noise
        Perspective Posterize Random_Scale Saturation Scale Sharpness Shear Solarize TrivialAugment
        Vertical_Flip Zoom
    """,
}

_LOSSES: Mapping[str, str] = {
    "PyTorch": """
        BCE BCELoss BCEWithLogitsLoss CTC CTCLoss CosineEmbeddingLoss CrossEntropyLoss
        GaussianNLLLoss HingeEmbeddingLoss Huber HuberLoss KLDiv KLDivLoss L1 L1Loss MSE MSELoss
        MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLL NLLLoss
        PoissonNLLLoss SmoothL1 SmoothL1Loss SoftMarginLoss TripletMarginLoss
        binary_cross_entropy binary_cross_entropy_with_logits
    """,
    "Keras": """
        BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy
        CategoricalFocalCrossentropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber
        KLDivergence LogCosh MAE MAPE MSE MSLE MeanAbsoluteError MeanAbsolutePercentageError
        MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy
        SquaredHinge Tversky
    """,
    "Caffe": """
        ContrastiveLoss EuclideanLoss HingeLoss InfogainLoss MultinomialLogisticLoss
        SigmoidCrossEntropyLoss SoftmaxWithLoss
    """,
    "ONNX": "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "published code": "ArcFace Center Focal Lovasz NTXent RMSE Triplet",
}

_AVERAGES: Mapping[str, str] = {
    "PyTorch": "AveragedModel",
    "published code": "Lookahead Polyak Polyak_Averaging SWA SWAG",
}

#: Names as they are documented there, by role and by framework.
OPTIONS_ELSEWHERE: Mapping[RecipeRole, Mapping[str, str]] = {
    RecipeRole.OPTIMIZER: _OPTIMIZERS,
    RecipeRole.SCHEDULE: _SCHEDULES,
    RecipeRole.AUGMENTATION: _AUGMENTATIONS,
    RecipeRole.LOSS: _LOSSES,
    RecipeRole.AVERAGE: _AVERAGES,
}
