"""What is shown of a network, wherever it will stand: boxes, forks, clusters and edges."""
