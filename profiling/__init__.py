"""What can be told about the kernels without a GPU: what the compiler makes of them, and how fast that could run."""
