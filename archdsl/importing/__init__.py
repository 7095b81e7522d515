"""From what people have to a spec: modules of PyTorch and files of other tools, with proof."""
