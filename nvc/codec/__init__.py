"""Encoder and decoder sessions: joins the models, the kernels and the bitstream."""
