"""Caffe's prototxts and weights as networks, judged by Caffe's own rules."""
