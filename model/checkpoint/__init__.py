"""A checkpoint on disk: found, verified, opened; its tensors as numpy, the shapes of coder and adapter."""
