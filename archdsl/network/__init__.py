"""What elaboration makes of a text: nodes, their graph, and the tree of parts over them."""
