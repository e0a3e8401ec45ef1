"""Image -> feature: losses and networks, the training that fits them, the ONNX bundle that answers queries.

Nothing is imported here: `networks.families`, `networks.weights` and `bundle.runtime` serve processes without torch.
"""
