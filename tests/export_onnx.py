#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Our networks as ONNX files for bench_peers.py, with random weights.

    python3 tests/export_onnx.py FOLDER [--nets lite ...] [--size HxW]

The definitions are those of golden/make_golden.py. Needs torch, numpy and onnx. SAM's attentive LSTM is
unrolled: its four steps are in the file.
"""
import argparse, inspect, os, sys
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'golden'))
import make_golden as golden

SIZES = {'juntingnet': (96, 96), 'wepsam': (128, 128), 'mlnet': (480, 640)}     # others: 240 x 320


def maxpool(x, k, stride, same):
    """The values alone, in words that ONNX has; golden's looks for the winners, too."""
    h, w = (int(n) for n in x.shape[-2:])
    (top, bottom), (left, right) = ((golden.pool_pads(h, k, stride), golden.pool_pads(w, k, stride)) if same
                                    else ((0, 0), (0, 0)))
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-1e30), k, stride), None


def maxout(x, pieces=2):
    return x.reshape(x.shape[0], -1, pieces).max(-1)[0], None


golden.maxpool, golden.maxout = maxpool, maxout


def values(name, shape):
    fan_in = max(1, torch.Size(shape[1:]).numel())
    if name.endswith(('running_var', 'bn.weight')):
        return torch.ones(shape)
    return torch.randn(shape) * (2 / fan_in) ** .5 if len(shape) > 1 else torch.rand(shape) * .1


class Module(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.net = golden.Net(kind, values)

    def forward(self, x):
        return getattr(self.net, self.net.kind.replace('-', '_'))(x)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder')
    p.add_argument('--nets', nargs='+', default=list(golden.KINDS))
    p.add_argument('--size', help='HxW instead of the usual size')
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    torch.manual_seed(0)
    # newer versions have another exporter, which is the default; Debian's knows only this one
    tracing = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    for kind in a.nets:
        size = tuple(map(int, a.size.split('x'))) if a.size else SIZES.get(kind, (240, 320))
        module, x = Module(kind).eval(), torch.rand(1, 3, *size) * 2 - 1
        with torch.no_grad():
            module(x)                           # makes the parameters
            torch.onnx.export(module, x, f'{a.folder}/{kind}.onnx', opset_version=13, do_constant_folding=True,
                              input_names=['x'], output_names=['y'], **tracing)
        print(kind, *size, flush=True)


if __name__ == '__main__':
    main()
