#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Writes python.safetensors with the safetensors package 0.8 (pip install safetensors numpy)."""
import os
import numpy as np
from safetensors import TensorSpec, serialize

i = np.arange(24)
k = (np.arange(7) / 4 - 1).astype(np.float32)
arrays = {                              # name: (type, values)
    "f32": ("float32", (i * i / 8 - 3).astype(np.float32).reshape(2, 3, 4)),
    "f16": ("float16", k.astype(np.float16)),
    "bf16": ("bfloat16", (k.view(np.uint32) >> 16).astype(np.uint16)),
    "i8": ("int8", (np.arange(15) * 17 - 119).astype(np.int8).reshape(3, 5)),
    "i8.scale": ("float32", np.array([0.5, 1.5, 2.5], np.float32)),
    "bn.num_batches_tracked": ("int64", np.array(7)),
}
specs = {name: TensorSpec(dtype=t, shape=list(a.shape), data_ptr=a.ctypes.data, data_len=a.nbytes)
         for name, (t, a) in arrays.items()}
data = serialize(specs, {"name": 'Mot\u00f6rhead "\\" \U0001F440'})
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "python.safetensors"), "wb") as f:
    f.write(data)
