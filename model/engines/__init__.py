"""What computes: one decoder, fuser and projector, by ONNX Runtime or by torch."""
