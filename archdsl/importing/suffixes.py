"""The files that are imported, known without what reads them."""

ONNX, CAFFE, DARKNET = ".onnx", ".prototxt", ".cfg"
SUFFIXES = (ONNX, CAFFE, DARKNET)
