"""Files of Caffe and Darknet as specs: what is written, and that the files' rules give the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cfgs
import prototxts
import pytest
from imports import bare_body_of, body_of
from torch import Tensor

import archdsl
from archdsl.importing.errors import NotTheSame
from archdsl.importing.files import FileSource, State
from archdsl.importing.from_caffe.file import read_caffe
from archdsl.importing.from_darknet.file import read_darknet
from archdsl.importing.importer import import_file
from archdsl.layers.volume import Volume


def caffe(text: str) -> FileSource:
    return read_caffe(prototxts.narrow(text, 8), "Net", None)


def darknet(text: str) -> FileSource:
    return read_darknet(cfgs.narrow(text), "Net", None)


@pytest.mark.parametrize(
    ("read", "text", "lines"),
    [
        (darknet, cfgs.alexnet(), 10),
        (darknet, cfgs.darknet19(), 25),
        (darknet, cfgs.darknet53(), 25),
        (darknet, cfgs.extraction(), 25),
        (darknet, cfgs.vgg16(64), 15),
        (darknet, cfgs.yolov2(224), 30),
        (darknet, cfgs.yolov2_tiny(224), 12),
        (darknet, cfgs.yolov3(160), 65),
        (darknet, cfgs.yolov3_tiny(224), 20),
        (darknet, cfgs.yolov4_tiny(224), 40),
        (caffe, prototxts.alexnet(), 10),
        (caffe, prototxts.asymmetric(), 20),
        (caffe, prototxts.cnn_s(), 10),
        (caffe, prototxts.densenet(6, 12, 24, 16), 30),
        (caffe, prototxts.facenet(), 15),
        (caffe, prototxts.fcn(), 15),
        (caffe, prototxts.googlenet(), 40),
        (caffe, prototxts.lenet(), 6),
        (caffe, prototxts.mobilenet_v1(), 20),
        (caffe, prototxts.mobilenet_v2(), 25),
        (caffe, prototxts.nin(), 15),
        (caffe, prototxts.resnet(3, 4, 6, 3, size=64), 25),
        (caffe, prototxts.resnet(3, 8, 36, 3, size=64), 25),
        (caffe, prototxts.senet(), 15),
        (caffe, prototxts.squeezenet(), 20),
        (caffe, prototxts.srcnn(), 5),
        (caffe, prototxts.unet(), 40),
        (caffe, prototxts.vgg(2, 2, 3, 3, 3, size=64), 18),
        (caffe, prototxts.zfnet(), 10),
    ],
    ids="d-alexnet darknet19 darknet53 extraction d-vgg16 yolov2 yolov2-tiny yolov3 yolov3-tiny "
    "yolov4-tiny alexnet asymmetric cnn-s densenet121 facenet fcn googlenet lenet mobilenet "
    "mobilenet-v2 nin resnet50 resnet152 senet squeezenet srcnn unet vgg16 zfnet".split(),
)
def test_public_networks_are_short(
    read: Callable[[str], FileSource], text: str, lines: int
) -> None:
    """With an eighth of their channels. ``import_file`` compares them with the file's rules."""
    made = import_file(read(text), "net")
    assert len(body_of(made)) <= lines
    assert archdsl.format(made.text) == made.text
    assert not made.state


def test_heads_of_a_detector() -> None:
    made = import_file(read_darknet(cfgs.yolov3_tiny(), "Yolo", None), "yolov3-tiny.cfg")
    assert (
        "\n".join(bare_body_of(made))
        == """\
network Yolo: 416x416x3 → (head1: 13x13x255, head2: 26x26x255) {
  conv 3x3 16 same nobias bn momentum=0.01 leakyrelu 0.1 maxpool 2x2
  conv 3x3 32 same nobias bn momentum=0.01 leakyrelu 0.1 maxpool 2x2
  conv 3x3 64 same nobias bn momentum=0.01 leakyrelu 0.1 maxpool 2x2
  conv 3x3 128 same nobias bn momentum=0.01 leakyrelu 0.1 maxpool 2x2
  conv 3x3 256 same nobias bn momentum=0.01; part1: leakyrelu 0.1; maxpool 2x2
  conv 3x3 512 same nobias bn momentum=0.01 leakyrelu 0.1 maxpool 2x2 s1 same
  conv 3x3 1024 same nobias bn momentum=0.01 leakyrelu 0.1
  conv 1x1 256 nobias bn momentum=0.01; part2: leakyrelu 0.1
  conv 3x3 512 same nobias bn momentum=0.01 leakyrelu 0.1
  head1: conv 1x1 255
  part1
  concat {
    | part2
      conv 1x1 128 nobias bn momentum=0.01 leakyrelu 0.1 upsample 2x2
    | id
  }
  conv 3x3 256 same nobias bn momentum=0.01 leakyrelu 0.1
  head2: conv 1x1 255
}"""
    )


def test_losses_of_a_train_val_file_are_heads() -> None:
    made = import_file(read_caffe(prototxts.googlenet(), "GoogLeNet", None), "train_val.prototxt")
    assert made.text.count("aux(0.3) {") == 2
    assert "  inception_4a: inception(192, 96, 208, 16, 48, 64)" in made.text
    assert made.model.output == Volume.vector(1000)


@pytest.mark.parametrize("result", [0, 1, 2], ids=["the trunk", "head 1", "head 2"])
def test_each_result_is_compared(result: int) -> None:
    """Where the file's rules give another number in any of them, nothing is imported."""
    source = caffe(prototxts.googlenet())

    def run(images: Tensor, state: State) -> list[Tensor]:
        results = [*source.run(images, state)]
        results[result] = results[result] + 1e-3
        return results

    with pytest.raises(NotTheSame, match=r"(its output|head \d) differs by"):
        import_file(replace(source, run=run), "train_val.prototxt")


def test_names_stay_where_they_keep_nothing_apart() -> None:
    named = import_file(caffe(prototxts.vgg(2, 2, 3, 3, 3, size=64)), "vgg.prototxt")
    assert "  conv1_2: conv 3x3 8 same; relu; maxpool 2x2 ceil" in named.text
    bare = import_file(caffe(prototxts.resnet(3, 4, 6, 3, size=64)), "resnet.prototxt")
    assert "res2a" not in bare.text
    assert "  residual(8) ×2 " in bare.text
