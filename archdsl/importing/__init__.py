"""From what people have to a spec: PyTorch's modules as text, with proof."""
