"""What is shown of a network, wherever it will be placed: boxes, forks, clusters and edges."""
