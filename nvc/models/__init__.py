"""Thin integer modules: buffers, shapes, one kernel call a line."""
