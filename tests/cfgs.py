"""Configurations of Darknet for the structures of public networks, written anew."""

from __future__ import annotations

import re
from collections.abc import Iterable


def section(name: str, **options: object) -> str:
    lines = [f"{key.removesuffix('_')}={value}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def net(size: int, channels: int = 3) -> str:
    return section("net", batch=1, width=size, height=size, channels=channels, momentum=0.9)


def conv(filters: int, size: int, stride: int = 1, act: str = "leaky", bn: bool = True) -> str:
    norm = {"batch_normalize": 1} if bn else {}
    more = {"size": size, "stride": stride, "pad": 1, "activation": act}
    return section("convolutional", **norm, filters=filters, **more)


def pool(size: int = 2, stride: int = 2) -> str:
    return section("maxpool", size=size, stride=stride)


def route(*layers: int, **more: int) -> str:
    return section("route", layers=",".join(map(str, layers)), **more)


def cfg(size: int, parts: Iterable[str]) -> str:
    return "\n".join([net(size), *parts])


def narrow(text: str, by: int = 8) -> str:
    """The same network with a part of its channels, which runs faster."""

    def narrowed(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"filters={number // by if number % by == 0 else number}"

    return re.sub(r"filters=(\d+)", narrowed, text)


HEAD = section("yolo", mask="0,1,2", anchors="10,14, 23,27", classes=80, num=6)
REGION = section("region", anchors="0.57,0.67", classes=80, coords=4, num=5)
CLASSES = [section("avgpool"), section("softmax", groups=1)]


def threes(*filters: int) -> list[str]:
    """Convolutions by 3 and by 1 in turn."""
    return [conv(n, 3 if i % 2 == 0 else 1) for i, n in enumerate(filters)]


def _darknet19_trunk() -> list[str]:
    shallow = [conv(32, 3), pool(), conv(64, 3), pool(), *threes(128, 64, 128), pool()]
    shallow += [*threes(256, 128, 256), pool(), *threes(512, 256, 512, 256, 512)]
    return [*shallow, pool(), *threes(1024, 512, 1024, 512, 1024)]


def darknet19(size: int = 256) -> str:
    return cfg(size, [*_darknet19_trunk(), conv(1000, 1, act="linear", bn=False), *CLASSES])


def yolov2(size: int = 608) -> str:
    head = [*threes(1024), *threes(1024), route(-9), conv(64, 1), section("reorg", stride=2)]
    last = [route(-1, -4), conv(1024, 3), conv(425, 1, act="linear", bn=False), REGION]
    return cfg(size, [*_darknet19_trunk(), *head, *last])


def tiny(size: int = 416) -> list[str]:
    parts = [conv(16, 3)]
    for filters in (32, 64, 128, 256, 512):
        parts += [pool(), conv(filters, 3)]
    return [net(size), *parts, pool(2, 1), conv(1024, 3)]


def yolov2_tiny(size: int = 416) -> str:
    return "\n".join([*tiny(size), conv(512, 3), conv(425, 1, act="linear", bn=False), REGION])


def yolov3_tiny(size: int = 416) -> str:
    out = [conv(255, 1, act="linear", bn=False), HEAD]
    one = [conv(256, 1), conv(512, 3), *out, route(-4), conv(128, 1), section("upsample", stride=2)]
    return "\n".join([*tiny(size), *one, route(-1, 8), conv(256, 3), *out])


def residual(narrow: int, wide: int, count: int, act: str = "leaky") -> list[str]:
    shortcut = section("shortcut", from_=-3, activation="linear")
    return [conv(narrow, 1, act=act), conv(wide, 3, act=act), shortcut] * count


def _darknet53_trunk() -> list[str]:
    parts = [conv(32, 3)]
    for wide, count in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        parts += [conv(wide, 3, 2), *residual(wide // 2, wide, count)]
    return parts


def darknet53(size: int = 256) -> str:
    last = [section("avgpool"), conv(1000, 1, act="linear", bn=False), section("softmax")]
    return cfg(size, [*_darknet53_trunk(), *last])


def yolov3(size: int = 416) -> str:
    parts = _darknet53_trunk()
    for narrow, shallow in ((512, None), (256, 61), (128, 36)):
        if shallow is not None:
            parts += [route(-4), conv(narrow, 1), section("upsample", stride=2), route(-1, shallow)]
        parts += [conv(narrow, 1), conv(2 * narrow, 3)] * 3
        parts += [conv(255, 1, act="linear", bn=False), HEAD]
    return cfg(size, parts)


def yolov4_tiny(size: int = 416) -> str:
    parts = [conv(32, 3, 2), conv(64, 3, 2)]
    for wide in (64, 128, 256):
        half = wide // 2
        parts += [conv(wide, 3), route(-1, groups=2, group_id=1), conv(half, 3), conv(half, 3)]
        parts += [route(-1, -2), conv(wide, 1), route(-6, -1), pool()]
    out = [conv(255, 1, act="linear", bn=False), HEAD]
    parts += [conv(512, 3), conv(256, 1), conv(512, 3), *out, route(-4), conv(128, 1)]
    return cfg(size, [*parts, section("upsample", stride=2), route(-1, 23), conv(256, 3), *out])


def extraction(size: int = 224) -> str:
    parts = [conv(64, 7, 2), pool(), conv(192, 3), pool()]
    parts += [conv(128, 1), *threes(256), conv(256, 1), conv(512, 3), pool()]
    parts += [conv(256, 1), conv(512, 3)] * 4 + [conv(512, 1), conv(1024, 3), pool()]
    parts += [conv(512, 1), conv(1024, 3)] * 2
    return cfg(size, [*parts, conv(1000, 1), *CLASSES])


def _dense(*outputs: int) -> list[str]:
    parts = []
    for output in outputs:
        parts += [section("connected", output=output, activation="relu")]
        parts += [section("dropout", probability=0.5)]
    last = section("connected", output=1000, activation="linear")
    return [*parts, last, section("softmax", groups=1), section("cost", type="sse")]


def alexnet(size: int = 227) -> str:
    first = section("convolutional", filters=96, size=11, stride=4, pad=0, activation="relu")
    plain = [conv(n, 3, act="relu", bn=False) for n in (384, 384, 256)]
    big = section("maxpool", size=3, stride=2, padding=0)
    parts = [first, big, conv(256, 5, act="relu", bn=False), big, *plain, big]
    return cfg(size, [*parts, *_dense(4096, 4096)])


def vgg16(size: int = 224) -> str:
    parts = []
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        parts += [conv(filters, 3, act="relu", bn=False)] * count + [pool()]
    return cfg(size, [*parts, *_dense(4096, 4096)])
