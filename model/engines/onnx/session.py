"""ONNX Runtime on the CPU: how a graph is opened and with how many threads."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph. Weights in a data file beside it are mapped until the kernels have packed them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits by spinning is faster by microseconds and costs a core that the editor could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised as well
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
