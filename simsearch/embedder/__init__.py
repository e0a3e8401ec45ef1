"""Image -> feature: backbones, losses, training, and the ONNX bundle that answers queries.

Nothing is imported here: `catalog`, `weights` and `runtime` are used by processes that never load torch.
"""
