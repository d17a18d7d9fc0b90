"""A server elsewhere writes: vLLM with prompt embeddings, or llama.cpp. The seam is `Generator.generate`."""
