"""Training: float twins of the integer modules, fake quantisation, data, losses, export. The codec never imports it."""
