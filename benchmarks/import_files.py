"""What `archdsl import` makes of files: classic networks in ONNX, Caffe and Darknet.

    python benchmarks/import_files.py

The ONNX files come with the package `onnx`; the structures of the others are written by the tests.
All have random weights. Exits with 1 where one is not imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from archdsl.importing.files import FileSource
from archdsl.importing.from_caffe.file import read_caffe
from archdsl.importing.from_darknet.file import read_darknet
from archdsl.importing.from_onnx.file import read_onnx
from archdsl.importing.importer import import_file
from archdsl.torch_tools.errors import ToolError

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import cfgs
import prototxts

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
PROTOTXTS = {
    "lenet": prototxts.lenet,
    "alexnet": prototxts.alexnet,
    "zfnet": prototxts.zfnet,
    "cnn_s": prototxts.cnn_s,
    "vgg16": lambda: prototxts.vgg(2, 2, 3, 3, 3),
    "vgg16 (2014)": prototxts.vgg_of_2014,
    "nin": prototxts.nin,
    "googlenet": prototxts.googlenet,
    "googlenet deploy": lambda: prototxts.googlenet(is_train=False),
    "resnet50": lambda: prototxts.resnet(3, 4, 6, 3),
    "resnet101": lambda: prototxts.resnet(3, 4, 23, 3),
    "resnet152": lambda: prototxts.resnet(3, 8, 36, 3),
    "squeezenet 1.0": prototxts.squeezenet,
    "squeezenet 1.1": lambda: prototxts.squeezenet(is_1_1=True),
    "mobilenet": prototxts.mobilenet_v1,
    "mobilenet v2": prototxts.mobilenet_v2,
    "densenet121": lambda: prototxts.densenet(6, 12, 24, 16),
    "senet": prototxts.senet,
    "unet": prototxts.unet,
    "fcn": prototxts.fcn,
    "facenet": prototxts.facenet,
    "srcnn": prototxts.srcnn,
}
CFGS = ("alexnet", "darknet19", "darknet53", "extraction", "vgg16", "yolov2", "yolov2_tiny")
CFGS = (*CFGS, "yolov3", "yolov3_tiny", "yolov4_tiny")


def sources() -> Iterator[tuple[str, str, Callable[[], FileSource]]]:
    """The networks: of which tool, what they are called, and how they are read."""
    for path in sorted(LIGHT.glob("*.onnx")):
        name = path.stem.removeprefix("light_")
        yield "ONNX", name, lambda path=path: read_onnx(path.read_bytes(), "Net")
    for name, make in PROTOTXTS.items():
        yield "Caffe", name, lambda make=make: read_caffe(make(), "Net", None)
    for name in CFGS:
        make = getattr(cfgs, name)
        yield "Darknet", name, lambda make=make: read_darknet(make(), "Net", None)


def main() -> int:
    count = imported = 0
    for tool, name, read in sources():
        count += 1
        start = time.perf_counter()
        try:
            made = import_file(read(), name)
        except ToolError as fault:
            print(f"  {tool:<8} {name:<18} {fault}"[:110], flush=True)
            continue
        seconds = time.perf_counter() - start
        imported += 1
        lines = sum(bool(line) and not line.startswith("#") for line in made.text.splitlines())
        print(f"✓ {tool:<8} {name:<18} {seconds:5.1f} s  {lines:4} lines", flush=True)
    print(f"\n{imported} of {count} imported, with the same results to 1e-5")
    return imported < count


if __name__ == "__main__":
    sys.exit(main())
