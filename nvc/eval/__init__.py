"""Comparison with other codecs: anchors, metrics, BD-rate."""
