"""The graph style: boxes of layers, blocks as frames, wires for data."""
