"""Triton device code, one file a kernel; the contract file beside this folder checks the operands and calls it."""
