"""ONNX Runtime, the engine of the CPU."""
