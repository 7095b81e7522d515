"""ONNX files as networks: nodes, constants, layers, and what onnxruntime computes."""
