"""Training of compiled networks on real data, on one device or many machines."""
