"""Training of compiled networks: the only part that imports torch, and only when asked."""
