"""PyTorch's modules as networks: traces, layers, and the proof bit by bit."""
