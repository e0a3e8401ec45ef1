"""What a script pays once for first_answer.py: the import of torch, then torchvision's MobileNetV2 written as ONNX."""

import json
import sys
import time

started = time.perf_counter()
import torch  # noqa: E402

imported = time.perf_counter()
import torchvision  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

weights, out = sys.argv[1:]
model = torchvision.models.mobilenet_v2(weights=None)
model.load_state_dict(load_file(weights), strict=False)
model.classifier = torch.nn.Identity()
batch = torch.export.Dim("batch")
torch.onnx.export(
    model.eval(), (torch.zeros(2, 3, 224, 224),), out, dynamo=True, external_data=False, dynamic_shapes=({0: batch},)
)
done = time.perf_counter()
print(json.dumps({"import": imported - started, "export": done - imported}))
