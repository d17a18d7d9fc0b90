"""ONNX Runtime on the CPU: how a graph is opened and with how many threads."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from model.engines.machine import give_back


def open_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph. Weights in a data file beside it are mapped until the kernels have packed them."""
    return onnxruntime.InferenceSession(str(file), _options(threads), providers=["CPUExecutionProvider"])


def write_packed(source: Path, file: Path) -> None:
    """A graph again, with a data file beside it that holds the weights as this machine's kernels want them: opened,
    they are mapped and not copied."""
    options = _options(threads=1)
    options.optimized_model_filepath = str(file)
    prefix = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{prefix}_file_name", file.with_suffix(".data").name)
    options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    give_back()


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits by spinning is faster by microseconds and costs a core that the editor could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised as well
    return options
