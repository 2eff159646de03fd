"""Decides the device of this process before anything imports triton: CUDA if there is one, else the interpreter."""

import os

import interpreter
import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="seed of the kernel sweep's inputs")
    parser.addoption("--regen-golden", action="store_true", help="rewrite the frozen digests instead of comparing")
    parser.addoption("--require-cuda", action="store_true", help="fail instead of falling back to the interpreter")


def pytest_configure(config):
    if torch.cuda.is_available():
        config.device = "cuda"
    elif config.getoption("--require-cuda"):
        raise pytest.UsageError("--require-cuda: torch sees no CUDA device")
    else:
        os.environ["TRITON_INTERPRET"] = "1"  # triton reads it when a kernel is decorated
        config.device = "cpu"
        interpreter.adapt()


def pytest_report_header(config):
    launch = "triton on CUDA" if config.device == "cuda" else "triton interpreter"
    return f"nvc: reference vs cpu vs {launch}, seed {config.getoption('--seed')}"
