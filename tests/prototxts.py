"""Prototxts for the structures of public networks, written anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def narrow(text: str, by: int = 4) -> str:
    """The same network with a part of its channels, which runs faster."""
    found = re.compile(r"(num_output|group): (\d+)")

    def narrowed(match: re.Match[str]) -> str:
        number = int(match[2])
        return f"{match[1]}: {number // by if number % by == 0 and number > 4 else number}"

    return found.sub(narrowed, text)


def fields(values: dict[str, Any]) -> str:
    parts = []
    for key, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                parts.append(f"{key} {{ {fields(one)} }}")
            else:
                shown = str(one).lower() if isinstance(one, bool) else one
                parts.append(f"{key}: {shown}")
    return " ".join(parts)


class Net:
    """Writes layers one behind the other; each method returns the blob that it makes."""

    def __init__(self, height: int, width: int, channels: int = 3, input: bool = True) -> None:
        self.lines = ['name: "net"']
        if input:
            sizes = " ".join(f"input_dim: {n}" for n in (1, channels, height, width))
            self.lines += ['input: "data"', sizes]
        self.at = "data"

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def add(
        self,
        kind: str,
        name: str,
        bottoms: Sequence[str] | str | None = None,
        tops: Sequence[str] | None = None,
        **more: Any,
    ) -> str:
        bottoms = (
            [bottoms] if isinstance(bottoms, str) else [self.at] if bottoms is None else bottoms
        )
        tops = [name] if tops is None else tops
        blobs = {"bottom": [f'"{b}"' for b in bottoms], "top": [f'"{t}"' for t in tops]}
        own = {"name": f'"{name}"', "type": f'"{kind}"', **blobs, **more}
        self.lines.append(f"layer {{ {fields(own)} }}")
        self.at = tops[0] if tops else self.at
        return self.at

    def over(self, kind: str, name: str, **more: Any) -> str:
        """A layer in place."""
        return self.add(kind, name, self.at, [self.at], **more)

    def conv(
        self, name: str, n: int, k: int, s: int = 1, p: int = 0, of: str | None = None, **more: Any
    ) -> str:
        given = {"num_output": n, "kernel_size": k, "stride": s, "pad": p, **more}
        return self.add("Convolution", name, of, convolution_param=given)

    def conv_relu(self, name: str, *sizes: int, **more: Any) -> str:
        self.conv(name, *sizes, **more)
        head, _, tail = name.rpartition("/")
        return self.over("ReLU", f"{head}/relu_{tail}" if head else f"relu_{tail}")

    def bn(self, name: str, relu: bool = True) -> str:
        self.over("BatchNorm", f"{name}/bn", batch_norm_param={"use_global_stats": True})
        self.over("Scale", f"{name}/scale", scale_param={"bias_term": True})
        return self.over("ReLU", f"{name}/relu") if relu else self.at

    def conv_bn(self, name: str, *sizes: int, relu: bool = True, **more: Any) -> str:
        self.conv(name, *sizes, bias_term=False, **more)
        return self.bn(name, relu)

    def pool(
        self, name: str, k: int, s: int, kind: str = "MAX", p: int = 0, of: str | None = None
    ) -> str:
        given = {"pool": kind, "kernel_size": k, "stride": s, "pad": p}
        return self.add("Pooling", name, of, pooling_param=given)

    def gap(self, name: str = "pool_last") -> str:
        return self.add("Pooling", name, pooling_param={"pool": "AVE", "global_pooling": True})

    def fc(self, name: str, n: int, of: str | None = None) -> str:
        return self.add("InnerProduct", name, of, inner_product_param={"num_output": n})

    def fc_relu(self, name: str, n: int, rate: float = 0.5) -> str:
        self.fc(name, n)
        self.over("ReLU", f"relu_{name}")
        return self.over("Dropout", f"drop_{name}", dropout_param={"dropout_ratio": rate})

    def lrn(self, name: str, **more: Any) -> str:
        given = {"local_size": 5, "alpha": 0.0001, "beta": 0.75, **more}
        return self.add("LRN", name, lrn_param=given)

    def concat(self, name: str, *of: str) -> str:
        return self.add("Concat", name, of)

    def sum(self, name: str, *of: str) -> str:
        return self.add("Eltwise", name, of, eltwise_param={"operation": "SUM"})

    def softmax(self) -> str:
        return self.add("Softmax", "prob")


# ── Chains ───────────────────────────────────────────────────────────────────────────────────


def lenet() -> str:
    net = Net(28, 28, 1)
    net.conv("conv1", 20, 5)
    net.pool("pool1", 2, 2)
    net.conv("conv2", 50, 5)
    net.pool("pool2", 2, 2)
    net.fc("ip1", 500)
    net.over("ReLU", "relu1")
    net.fc("ip2", 10)
    net.softmax()
    return net.text


def alexnet(is_caffenet: bool = False) -> str:
    """Caffe's own variant has the normalization behind the pools."""
    net = Net(227, 227)

    def pooled(number: int) -> None:
        steps = [lambda: net.lrn(f"norm{number}"), lambda: net.pool(f"pool{number}", 3, 2)]
        for step in reversed(steps) if is_caffenet else steps:
            step()

    net.conv_relu("conv1", 96, 11, 4)
    pooled(1)
    net.conv_relu("conv2", 256, 5, 1, 2, group=2)
    pooled(2)
    net.conv_relu("conv3", 384, 3, 1, 1)
    net.conv_relu("conv4", 384, 3, 1, 1, group=2)
    net.conv_relu("conv5", 256, 3, 1, 1, group=2)
    net.pool("pool5", 3, 2)
    net.fc_relu("fc6", 4096)
    net.fc_relu("fc7", 4096)
    net.fc("fc8", 1000)
    net.softmax()
    return net.text


def zfnet() -> str:
    net = Net(224, 224)
    net.conv_relu("conv1", 96, 7, 2, 1)
    net.pool("pool1", 3, 2, p=1)
    net.lrn("norm1")
    net.conv_relu("conv2", 256, 5, 2)
    net.pool("pool2", 3, 2, p=1)
    net.lrn("norm2")
    for number, n in enumerate((384, 384, 256), start=3):
        net.conv_relu(f"conv{number}", n, 3, 1, 1)
    net.pool("pool5", 3, 2)
    net.fc_relu("fc6", 4096)
    net.fc_relu("fc7", 4096)
    net.fc("fc8", 1000)
    return net.text


def cnn_s() -> str:
    net = Net(224, 224)
    net.conv_relu("conv1", 96, 7, 2)
    net.lrn("norm1", alpha=0.0005, k=2)
    net.pool("pool1", 3, 3)
    net.conv_relu("conv2", 256, 5)
    net.pool("pool2", 2, 2)
    for number in (3, 4, 5):
        net.conv_relu(f"conv{number}", 512, 3, 1, 1)
    net.pool("pool5", 3, 3)
    net.fc_relu("fc6", 4096)
    net.fc_relu("fc7", 4096)
    net.fc("fc8", 1000)
    net.softmax()
    return net.text


def vgg(*counts: int, size: int = 224) -> str:
    net = Net(size, size)
    for stage, (n, count) in enumerate(zip((64, 128, 256, 512, 512), counts, strict=True), start=1):
        for number in range(1, count + 1):
            net.conv_relu(f"conv{stage}_{number}", n, 3, 1, 1)
        net.pool(f"pool{stage}", 2, 2)
    net.fc_relu("fc6", 4096)
    net.fc_relu("fc7", 4096)
    net.fc("fc8", 1000)
    net.softmax()
    return net.text


def vgg_of_2014() -> str:
    """VGG-16 in the format of its time: types as words, and sizes beside them."""
    text = vgg(2, 2, 3, 3, 3)
    old = {"Convolution": "CONVOLUTION", "Pooling": "POOLING", "ReLU": "RELU", "Softmax": "SOFTMAX"}
    old |= {"InnerProduct": "INNER_PRODUCT", "Dropout": "DROPOUT"}
    text = re.sub(r'type: "(\w+)"', lambda match: f"type: {old[match[1]]}", text)
    return text.replace("layer {", "layers {")


def nin() -> str:
    net = Net(224, 224)
    for number, sizes in enumerate(((96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1)), start=1):
        net.conv_relu(f"conv{number}", *sizes)
        for more in (1, 2):
            net.conv_relu(f"cccp{2 * number - 2 + more}", sizes[0], 1)
        net.pool(f"pool{number}", 3, 2)
    net.over("Dropout", "drop", dropout_param={"dropout_ratio": 0.5})
    for name, *sizes in (("conv4", 1024, 3, 1, 1), ("cccp7", 1024, 1), ("cccp8", 1000, 1)):
        net.conv_relu(name, *sizes)
    net.pool("pool4", 6, 1, "AVE")
    net.softmax()
    return net.text


def mobilenet_v1() -> str:
    net = Net(224, 224)
    net.conv_bn("conv1", 32, 3, 2, 1)
    wide = 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    plan += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    for number, (n, stride) in enumerate(plan, start=2):
        net.conv_bn(f"conv{number}/dw", wide, 3, stride, 1, group=wide, engine="CAFFE")
        net.conv_bn(f"conv{number}/sep", n, 1)
        wide = n
    net.gap("pool6")
    net.conv("fc7", 1000, 1)
    net.softmax()
    return net.text


def srcnn() -> str:
    net = Net(33, 33, 1)
    net.conv_relu("conv1", 64, 9)
    net.conv_relu("conv2", 32, 1)
    net.conv("conv3", 1, 5)
    return net.text


# ── Branches ─────────────────────────────────────────────────────────────────────────────────


def _inception(net: Net, name: str, *n: int) -> str:
    """The channels of 1×1, then those of 3×3 and 5×5 with their reductions, then of the pool."""
    x = net.at
    one = net.conv_relu(f"{name}/1x1", n[0], 1, of=x)
    net.conv_relu(f"{name}/3x3_reduce", n[1], 1, of=x)
    three = net.conv_relu(f"{name}/3x3", n[2], 3, 1, 1)
    net.conv_relu(f"{name}/5x5_reduce", n[3], 1, of=x)
    five = net.conv_relu(f"{name}/5x5", n[4], 5, 1, 2)
    net.pool(f"{name}/pool", 3, 1, p=1, of=x)
    pooled = net.conv_relu(f"{name}/pool_proj", n[5], 1)
    return net.concat(f"{name}/output", one, three, five, pooled)


INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

DATA = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { mirror: true crop_size: 224 mean_value: 104 } data_param { batch_size: 32 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 224 mean_value: 104 } data_param { batch_size: 50 } }
"""


def _loss(net: Net, name: str, of: str, weight: float = 1) -> None:
    net.add("SoftmaxWithLoss", name, [of, "label"], [name], loss_weight=weight)
    rule = {"phase": "TEST"}
    net.add("Accuracy", f"{name}/top-1", [of, "label"], [f"{name}/top-1"], include=rule)


def googlenet(is_train: bool = True) -> str:
    net = Net(224, 224, input=not is_train)
    if is_train:
        net.lines.append(DATA)
    net.conv_relu("conv1/7x7_s2", 64, 7, 2, 3)
    net.pool("pool1/3x3_s2", 3, 2)
    net.lrn("pool1/norm1")
    net.conv_relu("conv2/3x3_reduce", 64, 1)
    net.conv_relu("conv2/3x3", 192, 3, 1, 1)
    net.lrn("conv2/norm2")
    net.pool("pool2/3x3_s2", 3, 2)
    for index, sizes in INCEPTIONS.items():
        if index in ("4a", "5a"):
            net.pool(f"pool{3 if index == '4a' else 4}/3x3_s2", 3, 2)
        x = _inception(net, f"inception_{index}", *sizes)
        if is_train and index in ("4a", "4d"):
            name = f"loss{1 if index == '4a' else 2}"
            net.pool(f"{name}/ave_pool", 5, 3, "AVE")
            net.conv_relu(f"{name}/conv", 128, 1)
            net.fc_relu(f"{name}/fc", 1024, 0.7)
            _loss(net, f"{name}/loss", net.fc(f"{name}/classifier", 1000), 0.3)
            net.at = x
    net.pool("pool5/7x7_s1", 7, 1, "AVE")
    net.over("Dropout", "pool5/drop", dropout_param={"dropout_ratio": 0.4})
    x = net.fc("loss3/classifier", 1000)
    if is_train:
        _loss(net, "loss3/loss3", x)
    else:
        net.softmax()
    return net.text


def resnet(*counts: int, size: int = 224) -> str:
    net = Net(size, size)
    net.conv_bn("conv1", 64, 7, 2, 3)
    x = net.pool("pool1", 3, 2)
    for stage, count in enumerate(counts):
        n = 64 << stage
        for number in range(count):
            name = f"res{stage + 2}{chr(ord('a') + number) if count < 27 else f'_{number}'}"
            stride = 2 if number == 0 and stage else 1
            own = x
            if number == 0:
                own = net.conv_bn(f"{name}_branch1", 4 * n, 1, stride, of=x, relu=False)
            net.conv_bn(f"{name}_branch2a", n, 1, stride, of=x)
            net.conv_bn(f"{name}_branch2b", n, 3, 1, 1)
            last = net.conv_bn(f"{name}_branch2c", 4 * n, 1, relu=False)
            net.sum(name, own, last)
            x = net.over("ReLU", f"{name}_relu")
    net.pool("pool5", size // 32, 1, "AVE")
    net.fc("fc1000", 1000)
    net.softmax()
    return net.text


def squeezenet(is_1_1: bool = False) -> str:
    net = Net(227, 227)
    net.conv_relu("conv1", *((64, 3, 2) if is_1_1 else (96, 7, 2)))
    net.pool("pool1", 3, 2)
    pools = (3, 5) if is_1_1 else (4, 8)
    for number, n in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        name = f"fire{number}"
        squeezed = net.conv_relu(f"{name}/squeeze1x1", n, 1)
        one = net.conv_relu(f"{name}/expand1x1", 4 * n, 1, of=squeezed)
        three = net.conv_relu(f"{name}/expand3x3", 4 * n, 3, 1, 1, of=squeezed)
        net.concat(f"{name}/concat", one, three)
        if number in pools:
            net.pool(f"pool{number}", 3, 2)
    net.over("Dropout", "drop9", dropout_param={"dropout_ratio": 0.5})
    net.conv_relu("conv10", 1000, 1)
    net.gap("pool10")
    net.softmax()
    return net.text


def mobilenet_v2() -> str:
    net = Net(224, 224)
    x, wide, number = net.conv_bn("conv1", 32, 3, 2, 1), 32, 1
    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
    for factor, n, count, first in (*plan, (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for index in range(count):
            number += 1
            name, inner, stride = f"conv{number}", wide * factor, first if index == 0 else 1
            if factor > 1:
                net.conv_bn(f"{name}/expand", inner, 1, of=x)
            net.conv_bn(f"{name}/dwise", inner, 3, stride, 1, group=inner)
            y = net.conv_bn(f"{name}/linear", n, 1, relu=False)
            x = net.sum(f"block_{number}", x, y) if wide == n and stride == 1 else y
            wide = n
    net.conv_bn("conv_last", 1280, 1)
    net.gap()
    net.conv("fc7", 1000, 1)
    net.softmax()
    return net.text


def densenet(*counts: int) -> str:
    net = Net(224, 224)
    net.conv_bn("conv1", 64, 7, 2, 3)
    x, wide = net.pool("pool1", 3, 2), 64

    def normal(name: str, of: str) -> str:
        net.add("BatchNorm", f"{name}/bn", of)
        net.over("Scale", f"{name}/scale", scale_param={"bias_term": True})
        return net.over("ReLU", f"{name.replace('/', '_')}_relu")

    for stage, count in enumerate(counts, start=2):
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            normal(f"{name}/x1", x)
            net.conv(f"{name}/x1", 128, 1, bias_term=False)
            normal(f"{name}/x2", net.at)
            y = net.conv(f"{name}/x2", 32, 3, 1, 1, bias_term=False)
            x = net.concat(f"concat_{stage}_{number}", x, y)
            wide += 32
        normal(f"conv{stage}_blk", x)
        if stage < 5:
            wide //= 2
            net.conv(f"conv{stage}_blk", wide, 1, bias_term=False)
            x = net.pool(f"pool{stage}", 2, 2, "AVE")
    net.gap("pool5")
    net.conv("fc6", 1000, 1)
    return net.text


def asymmetric() -> str:
    """A reduction and a block with windows 1×7 and 7×1, as in Inception-v3 and v4."""
    net = Net(75, 75)
    x = net.conv_bn("stem", 32, 3, 2)
    one = net.conv_bn("mixed_5a/3x3", 48, 3, 2, of=x)
    x = net.concat("mixed_5a/out", one, net.pool("mixed_5a/pool", 3, 2, of=x))

    def window(name: str, n: int, h: int, w: int, of: str | None = None) -> str:
        size = {"kernel_h": h, "kernel_w": w, "pad_h": h // 2, "pad_w": w // 2}
        given = {"num_output": n, "bias_term": False, "stride_h": 1, "stride_w": 1, **size}
        net.add("Convolution", name, of, convolution_param=given)
        return net.bn(name)

    for index in "bc":
        name = f"mixed_6{index}"
        one = net.conv_bn(f"{name}/1x1", 32, 1, of=x)
        net.conv_bn(f"{name}/7_reduce", 24, 1, of=x)
        window(f"{name}/1x7", 28, 1, 7)
        seven = window(f"{name}/7x1", 32, 7, 1)
        net.pool(f"{name}/pool", 3, 1, "AVE", 1, of=x)
        x = net.concat(f"{name}/out", one, seven, net.conv_bn(f"{name}/pool_proj", 16, 1))
    net.gap()
    net.fc("classifier", 1000)
    return net.text


def crelu() -> str:
    """Channels beside their negatives, as in PVANet; the sign is that of a difference from 0."""
    net = Net(32, 32)
    x = net.conv("conv1", 16, 7, 2, 3)
    net.add("Power", "conv1/neg", x, power_param={"power": 1, "scale": -1, "shift": 0})
    net.concat("conv1/concat", x, "conv1/neg")
    net.over("ReLU", "conv1/relu")
    return net.text


def unet(size: int = 64) -> str:
    """Padded convolutions, deconvolutions, and a crop to the size of what is joined."""
    net = Net(size, size, 1)
    kept = []
    for depth in range(4):
        n = 64 << depth
        net.conv_relu(f"down{depth}/conv1", n, 3, 1, 1)
        kept.append(net.conv_relu(f"down{depth}/conv2", n, 3, 1, 1))
        net.pool(f"pool{depth}", 2, 2)
    net.conv_relu("mid/conv1", 1024, 3, 1, 1)
    net.conv_relu("mid/conv2", 1024, 3, 1, 1)
    for depth in reversed(range(4)):
        n = 64 << depth
        given = {"num_output": n, "kernel_size": 2, "stride": 2}
        up = net.add("Deconvolution", f"up{depth}/deconv", convolution_param=given)
        own = net.add("Crop", f"up{depth}/crop", [kept[depth], up], crop_param={"axis": 2})
        net.concat(f"up{depth}/concat", up, own)
        net.conv_relu(f"up{depth}/conv1", n, 3, 1, 1)
        net.conv_relu(f"up{depth}/conv2", n, 3, 1, 1)
    net.conv("score", 2, 1)
    return net.text


def fcn(size: int = 64) -> str:
    """FCN-16s on a small trunk: padded by 100, upsampled, and cut to the size of the input."""
    net = Net(size, size)
    net.conv_relu("conv1_1", 64, 3, 1, 100)
    for number in range(1, 6):
        pooled = net.pool(f"pool{number}", 2, 2)
        four = pooled if number == 4 else net.at
        if number == 4:
            kept = four
        if number < 5:
            net.conv_relu(f"conv{number + 1}_1", 64 << min(number, 3), 3, 1, 1)
    net.conv_relu("fc6", 256, 7)
    net.over("Dropout", "drop6", dropout_param={"dropout_ratio": 0.5})
    net.conv("score_fr", 21, 1)

    def up(name: str, k: int, s: int) -> str:
        given = {"num_output": 21, "bias_term": False, "kernel_size": k, "stride": s}
        return net.add("Deconvolution", name, convolution_param=given)

    two = up("upscore2", 4, 2)
    own = net.conv("score_pool4", 21, 1, of=kept)
    cut = net.add("Crop", "score_pool4c", [own, two], crop_param={"axis": 2, "offset": 5})
    net.sum("fuse_pool4", two, cut)
    up("upscore16", 32, 16)
    net.add("Crop", "score", [net.at, "data"], crop_param={"axis": 2, "offset": 27})
    return net.text


def facenet() -> str:
    """Residual blocks with PReLU, as in SphereFace."""
    net = Net(112, 96)
    for stage, (n, count) in enumerate(((64, 1), (128, 2), (256, 4), (512, 1)), start=1):
        net.conv(f"conv{stage}_1", n, 3, 2, 1)
        x = net.over("PReLU", f"relu{stage}_1")
        for number in range(count):
            for half in (2, 3):
                net.conv(f"conv{stage}_{2 * number + half}", n, 3, 1, 1)
                y = net.over("PReLU", f"relu{stage}_{2 * number + half}")
            x = net.sum(f"res{stage}_{2 * number + 3}", x, y)
    net.fc("fc5", 512)
    return net.text


def senet() -> str:
    """A block whose channels are scaled by a vector that is computed from them."""
    net = Net(32, 32)
    x = net.conv_bn("conv1", 32, 3, 2, 1)
    net.gap("conv1/gap")
    net.fc("conv1/down", 8)
    net.over("ReLU", "conv1/down_relu")
    net.fc("conv1/up", 32)
    factor = net.over("Sigmoid", "conv1/sigmoid")
    net.add("Scale", "conv1/scaled", [x, factor], scale_param={"axis": 0})
    net.gap()
    net.fc("classifier", 10)
    return net.text
