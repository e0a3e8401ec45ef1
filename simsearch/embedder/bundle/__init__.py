"""The trained embedder as a file that needs no torch: ONNX, its runtime, its fingerprint."""
