"""Darknet's configurations and weights as networks, judged by Darknet's own rules."""
