#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Writes 200 arrays to FOLDER/K.npy, each of another type, order or shape, and to FOLDER/K-want.npy
what numpy.load reads from it, as a plain float32 map.   usage: npy_arrays.py FOLDER"""
import os
import sys

import numpy as np

folder = sys.argv[1]
os.makedirs(folder)
rng = np.random.default_rng(1)
types = ["|b1", "|i1", "|u1"] + [order + kind for order in "<>" for kind in
                                 ("i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")]
for k in range(200):
    h, w = (int(n) for n in rng.integers(2, 40, 2))
    dtype = np.dtype(types[k % len(types)])
    if dtype.kind == "f":
        array = rng.normal(0, 100, (h, w)).astype(dtype)
    else:
        top = 2 if dtype.kind == "b" else 2 ** (8 * dtype.itemsize - 1) - 1
        array = rng.integers(-top if dtype.kind == "i" else 0, top, (h, w)).astype(dtype)
    for axis in rng.integers(0, 3, k // len(types) % 4):        # up to three more dimensions
        array = np.expand_dims(array, int(axis))
    if rng.random() < 0.4:
        array = np.asfortranarray(array)
    path = os.path.join(folder, f"{k}.npy")
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, version=((1, 0), (2, 0), (3, 0))[k % 3])
    if k % 5 == 0:                                              # the header as others write it
        start = 10 if k % 3 == 0 else 12
        data = open(path, "rb").read()
        length = int.from_bytes(data[8:start], "little")
        header = (data[start:start + length].decode().strip().replace("'", '"').replace(" ", "")
                  .replace("False", "   False"))
        header = header.encode() + b"\n" * (k % 7)
        with open(path, "wb") as file:
            file.write(data[:8] + len(header).to_bytes(start - 8, "little") + header +
                       data[start + length:])
    want = np.load(path)
    assert np.array_equal(want, array)
    np.save(os.path.join(folder, f"{k}-want.npy"), want.reshape(h, w).astype("<f4", order="C"))
