"""torch, the engine of CUDA and the reference on the CPU; imported by nothing that serves on ONNX Runtime."""
