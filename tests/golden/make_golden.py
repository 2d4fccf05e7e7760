#!/usr/bin/python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Expected values for tests/test_ops.c and tests/test_nets.c, computed by PyTorch.

    ops.safetensors    every operator: inputs, parameters, outputs and gradients
    nets.safetensors   every network: outputs for weights and inputs made from a seed

`make test` reads these files and needs no Python. To make them again, on Debian:

    sudo apt-get install python3-torch && python3 tests/golden/make_golden.py

Everything is computed in float64 from float32 inputs and stored as float32, so the stored values
are the true ones but for one rounding (6e-8 of each value). What a test then sees as a difference
is the error of the C code alone. The tests allow 1e-5 of the largest value for an operator (sums
of up to some hundred float32 products err by about 1e-6) and 1e-4 for a whole network.
"""
import json
import math
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))

# --- random numbers: the same on both sides, see sal_rng and fill() in seeded.h --------------


def fnv1a(text):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def uniform(name, count, low, high, seed=0):
    """splitmix64 from the state fnv1a(name) ^ seed, as float32; low and high may be arrays."""
    with np.errstate(over='ignore'):
        z = np.uint64(fnv1a(name) ^ seed) + np.arange(1, count + 1, dtype=np.uint64) * \
            np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> np.uint64(11)
    return (low + (high - low) * (z.astype(np.float64) / 2**53)).astype(np.float32)


def tensor(name, shape, low, high, seed=0):
    """Float32 values in a float64 tensor."""
    x = uniform(name, int(np.prod(shape)), low, high, seed).reshape(shape)
    return torch.from_numpy(x.astype(np.float64))


def write_safetensors(path, tensors, metadata):
    """Float32 all of them, in the order given."""
    header, at, blocks = {'__metadata__': metadata}, 0, []
    for name, value in tensors.items():
        block = np.ascontiguousarray(value, dtype='<f4').tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(np.shape(value)),
                        'data_offsets': [at, at + len(block)]}
        at += len(block)
        blocks.append(block)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + b''.join(blocks))


# --- operators -----------------------------------------------------------------------------------


def conv2d(x, weight, bias=None, stride=1, dilation=1, pads=(0, 0, 0, 0)):
    """pads: top, left, bottom, right."""
    top, left, bottom, right = pads
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride=stride,
                    dilation=dilation)


def same_pads(size, k, stride):
    """TensorFlow's: the larger half behind."""
    total = max((math.ceil(size / stride) - 1) * stride + k - size, 0)
    return total // 2, total - total // 2


def conv_same(x, weight, bias, stride=1):
    """Depthwise if the weights have one input channel and x has more."""
    k = weight.shape[-1]
    (top, bottom), (left, right) = (same_pads(size, k, stride) for size in x.shape[-2:])
    groups = x.shape[1] if weight.shape[1] == 1 else 1
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=groups)


def pool_pads(size, k, stride):
    """Padding `same`: the larger half comes last."""
    out = -(-size // stride)
    total = max((out - 1) * stride + k - size, 0)
    return total // 2, total - total // 2


def maxpool(x, k, stride, same):
    """Values, and where in its plane each came from: the first of equals."""
    h, w = x.shape[-2:]
    (top, bottom), (left, right) = ((pool_pads(h, k, stride), pool_pads(w, k, stride)) if same
                                    else ((0, 0), (0, 0)))
    pads = (left, right, top, bottom)
    index = F.pad(torch.arange(h * w, dtype=x.dtype).reshape(1, 1, h, w), pads)
    windows = F.pad(x, pads, value=-math.inf).unfold(2, k, stride).unfold(3, k, stride)
    where = index.unfold(2, k, stride).unfold(3, k, stride).flatten(4)
    windows = windows.flatten(4)
    best = torch.from_numpy(windows.detach().numpy().argmax(-1))[..., None]
    return windows.gather(4, best)[..., 0], where.expand(windows.shape).gather(4, best)[..., 0]


def maxout(x, pieces=2):
    """Over neighbours in the last dimension: values and winners, the first of equals."""
    groups = x.reshape(x.shape[:-1] + (-1, pieces))
    best = torch.from_numpy(groups.detach().numpy().argmax(-1))[..., None]
    return groups.gather(-1, best)[..., 0], best[..., 0]


def batchnorm(x, weight, bias, mean, var, eps=1e-5):
    c = (1, -1, 1, 1)
    return (x - mean.view(c)) / torch.sqrt(var.view(c) + eps) * weight.view(c) + bias.view(c)


def upsample(x, h, w):
    return F.interpolate(x, size=(h, w), mode='bilinear', align_corners=False)


def prior(x, mask):
    return x * upsample(mask, *x.shape[-2:])


def gaussians(params, h, w):
    """SAM's priors: (1, count, h, w) from mu_x, mu_y, sigma_x, sigma_y, count of each."""
    ranges = ((.25, .75), (.35, .65), (.1, .9), (.2, .8))
    mu_x, mu_y, sigma_x, sigma_y = [p.clamp(*r)[:, None, None]
                                    for p, r in zip(params.reshape(4, -1), ranges)]
    e = h / w
    x = torch.linspace(0, 1, w, dtype=params.dtype)[None, None, :]
    y = torch.linspace((1 - e) / 2, (1 + e) / 2, h, dtype=params.dtype)[None, :, None]
    g = torch.exp(-((x - mu_x)**2 / (2 * sigma_x**2 + 1e-7) +
                    (y - mu_y)**2 / (2 * sigma_y**2 + 1e-7)))
    return (g / g.flatten(1).max(1).values[:, None, None])[None]


GATES = ('Wa', 'Ua', 'Va', 'Wi', 'Ui', 'Wf', 'Uf', 'Wc', 'Uc', 'Wo', 'Uo')


def convlstm(x, p, steps=4):
    """SAM's attentive ConvLSTM; p['Wa.weight'], p['Wa.bias'], ..."""
    def conv(name, value):
        return conv2d(value, p[name + '.weight'], p.get(name + '.bias'), pads=(1, 1, 1, 1))

    hidden, cell = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        z = conv('Va', torch.tanh(conv('Wa', x) + conv('Ua', hidden)))
        seen = torch.softmax(z.flatten(1), 1).view_as(z) * x
        i, f, o = [torch.sigmoid(conv('W' + k, seen) + conv('U' + k, hidden)) for k in 'ifo']
        cell = f * cell + i * torch.tanh(conv('Wc', seen) + conv('Uc', hidden))
        hidden = o * torch.tanh(cell)
    return hidden


# --- networks ------------------------------------------------------------------------------------


class Net:
    """A network made while it runs: a parameter comes into being when it is asked for.

    values(name, shape) gives its value; `seen` collects intermediate values by name. Widths of
    inner layers are divided by `narrow`. stride_on_3x3 is torchvision's ResNet. plain, steps and
    priors are the variants of SAM and ML-Net (None: the paper's)."""

    def __init__(self, kind, values, narrow=1, stride_on_3x3=False, plain=False, steps=4,
                 priors=None):
        self.kind, self.values, self.narrow = kind, values, narrow
        self.stride_on_3x3, self.plain, self.steps = stride_on_3x3, plain, steps
        self.priors = priors or ('mask' if kind == 'mlnet' else 'gaussian')
        self.params, self.seen = {}, {}

    def forward(self, x):
        with torch.no_grad():
            return getattr(self, self.kind.replace('-', '_'))(x)

    def width(self, channels):
        return max(channels // self.narrow, 1)

    def param(self, name, *shape):
        if name not in self.params:
            self.params[name] = self.values(name, shape)
        return self.params[name]

    def conv(self, x, name, channels, k, stride=1, pad=0, dilation=1, bias=True):
        weight = self.param(name + '.weight', channels, x.shape[1], k, k)
        return conv2d(x, weight, self.param(name + '.bias', channels) if bias else None, stride,
                      dilation, (pad,) * 4)

    def dense(self, x, name, count):
        x = x.flatten(1)
        return F.linear(x, self.param(name + '.weight', count, x.shape[1]),
                        self.param(name + '.bias', count))

    def stage(self, x, name, channels, k):
        return maxpool(F.relu(self.conv(x, name, self.width(channels), k)), 2, 2, False)[0]

    def stages(self, x):
        x = self.stage(x, 'conv1', 32, 5)
        x = self.stage(x, 'conv2', 64, 3)
        self.seen['features'] = x = self.stage(x, 'conv3', 64, 3)
        return x

    def juntingnet(self, x):
        x = self.dense(self.stages(x), 'fc1', 4608)
        x = self.dense(maxout(x)[0], 'fc2', 2304)
        return x.view(-1, 1, 48, 48)

    def wepsam(self, x):
        x = F.relu(self.dense(self.stages(x), 'fc1', 2048))
        x = self.dense(x, 'fc2', 2048)
        return maxout(x)[0].view(-1, 1, 32, 32)

    def vgg(self, x, dilation5):
        blocks = []
        for block, (channels, count) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)],
                                                  1):
            d = dilation5 if block == 5 and not self.plain else 1
            for i in range(1, count + 1):
                x = F.relu(self.conv(x, 'backbone.conv%d_%d' % (block, i), self.width(channels), 3,
                                     pad=d, dilation=d))
            if block <= 4 or self.plain:
                x = maxpool(x, 2, 1 if block == 4 and not self.plain else 2, True)[0]
            blocks.append(x)
        return blocks

    def mlnet(self, x):
        self.seen['features'] = x = torch.cat(self.vgg(x, 1)[2:], 1)
        x = F.relu(self.conv(x, 'encode', self.width(64), 3, pad=1))
        x = F.relu(self.conv(x, 'readout', 1, 1))
        return x if self.priors == 'none' else self.mask(x, 'prior')

    def mask(self, x, name):
        h, w = x.shape[-2:]
        return F.relu(prior(x, self.param(name, 1, 1, max(h // 10, 1), max(w // 10, 1))))

    def bottleneck(self, x, name, mid, stride, dilation, project):
        def conv_norm(x, conv, norm, channels, k, stride=1, dilation=1):
            x = self.conv(x, '%s.%s' % (name, conv), channels, k, stride, k // 2 * dilation,
                          dilation, bias=False)
            return self.norm(x, '%s.%s' % (name, norm))

        stride1, stride2 = (1, stride) if self.stride_on_3x3 else (stride, 1)
        y = F.relu(conv_norm(x, 'conv1', 'bn1', mid, 1, stride1))
        y = F.relu(conv_norm(y, 'conv2', 'bn2', mid, 3, stride2, dilation))
        y = conv_norm(y, 'conv3', 'bn3', 4 * mid, 1)
        if project:
            x = conv_norm(x, 'downsample.0', 'downsample.1', 4 * mid, 1, stride)
        return F.relu(x + y)

    def norm(self, x, name):
        c = x.shape[1]
        return batchnorm(x, *[self.param('%s.%s' % (name, what), c)
                              for what in ('weight', 'bias', 'running_mean', 'running_var')])

    def resnet(self, x):
        x = self.conv(x, 'backbone.conv1', self.width(64), 7, 2, 3, bias=False)
        x = maxpool(F.relu(self.norm(x, 'backbone.bn1')), 3, 2, True)[0]
        strides, dilations = ((1, 2, 2, 2), (1, 1, 1, 1)) if self.plain else ((1, 2, 1, 1),
                                                                              (1, 1, 2, 4))
        for layer, (count, mid, stride, dilation) in enumerate(
                zip((3, 4, 6, 3), (64, 128, 256, 512), strides, dilations), 1):
            for block in range(count):
                x = self.bottleneck(x, 'backbone.layer%d.%d' % (layer, block), self.width(mid),
                                    stride if block == 0 else 1, dilation, block == 0)
        return x

    def same(self, x, name, channels, k, stride=1):
        """Depthwise if channels is 0."""
        shape = (channels, x.shape[1], k, k) if channels else (x.shape[1], 1, k, k)
        return conv_same(x, self.param(name + '.weight', *shape),
                         self.param(name + '.bias', shape[0]), stride)

    def lite_scale(self, x):
        act, taps, block, head = F.relu6, {}, 0, self.width(128)
        x = act(self.same(x, 'backbone.conv_stem', self.width(32), 3, 2))
        for expand, channels, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2),
                                                (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                                                (6, 320, 1, 1)]:
            for i in range(count):
                name, step, y = 'backbone.block%d.' % block, 1 if i else stride, x
                if expand > 1:
                    y = act(self.same(y, name + 'expand', expand * x.shape[1], 1))
                fine = act(self.same(y, name + 'dw', 0, 3, step))
                taps[block] = y, fine
                y = self.same(fine, name + 'project', self.width(channels), 1)
                x = x + y if step == 1 and x.shape == y.shape else y
                block += 1
        x = act(self.same(x, 'backbone.conv_last', self.width(1280), 1))
        x = act(self.same(x, 'head.tap32', head, 1))
        x = x + self.same(act(self.same(x, 'head.wide32', 0, 5)), 'head.mix32', head, 1)
        for y, name in [(taps[13][0], 'head.tap16'), (taps[6][0], 'head.tap8')]:
            x = self.same(y, name, head, 1) + upsample(x, *y.shape[-2:])
            x = act(x) if name == 'head.tap16' else x
        x = act(x + self.same(taps[3][1], 'head.tap4', head, 1))
        x = act(self.same(x, 'head.conv', head, 3))
        x = act(x + self.same(act(self.same(x, 'head.wide8', 0, 5)), 'head.mix8', head, 1))
        return self.same(x, 'head.readout', 1, 1)

    def lite(self, x):
        """The same network at two scales, the smaller one mirrored; a downsampled pixel is the mean
        of four (of the edge's, where there is half a pixel left)."""
        half = upsample(x, (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2)
        x = self.lite_scale(x)
        x = x + upsample(self.lite_scale(half.flip(3)).flip(3), *x.shape[-2:])
        x = x + upsample(self.param('head.prior', 5, 1, 6, 8)[:1], *x.shape[-2:])
        return torch.softmax(x.flatten(1), 1).view_as(x)

    def sam_head(self, x):
        self.seen['features'] = x
        c = x.shape[1]
        p = {}
        for gate in GATES if self.steps else ():
            p[gate + '.weight'] = self.param('head.lstm.%s.weight' % gate,
                                             1 if gate == 'Va' else c, c, 3, 3)
            if gate != 'Va':
                p[gate + '.bias'] = self.param('head.lstm.%s.bias' % gate, c)
        if self.steps:
            self.seen['lstm'] = x = convlstm(x, p, self.steps)
        for k in (1, 2) if self.priors == 'gaussian' else ():
            maps = gaussians(self.param('head.prior%d.params' % k, 64), *x.shape[-2:])
            x = torch.cat([x, maps.expand(len(x), -1, -1, -1)], 1)
            x = F.relu(self.conv(x, 'head.prior%d_conv' % k, self.width(512), 5, pad=8, dilation=4))
        x = F.relu(self.conv(x, 'head.readout', 1, 1))
        return self.mask(x, 'head.prior') if self.priors == 'mask' else x

    def sam_vgg(self, x):
        return self.sam_head(self.vgg(x, 2)[4])

    def sam_resnet(self, x):
        return self.sam_head(F.relu(self.conv(self.resnet(x), 'reduce', self.width(512), 3, pad=1)))


KINDS = ('juntingnet', 'wepsam', 'mlnet', 'sam-vgg', 'sam-resnet', 'lite')

# --- ops.safetensors -----------------------------------------------------------------------------


def make_ops():
    """OP.CASE.in, .weight, ... .out; for a loss with the gradient .dout also .din, .dweight, ..."""
    tensors = {}

    def values(case, key, shape, low=-1, high=1):
        return tensor('%s.%s' % (case, key), shape, low, high)

    def record(case, function, inputs, fixed=None, **more):
        """inputs: tensors with gradients; fixed: without; more: stored as they are."""
        leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
        fixed = fixed or {}
        out = function(leaves, fixed)
        dout = values(case, 'dout', out.shape)
        out.backward(dout)
        for key, value in {**inputs, **fixed, 'out': out.detach(), **more}.items():
            tensors['%s.%s' % (case, key)] = np.asarray(value, dtype=np.float64)
        tensors[case + '.dout'] = dout.numpy()
        for key, value in leaves.items():
            tensors['%s.d%s' % (case, key)] = value.grad.numpy()

    for i, (m, n, k) in enumerate([(1, 1, 1), (3, 5, 7), (9, 17, 4)]):
        case = 'gemm.%d' % i
        record(case, lambda x, _: x['a'] @ x['b'],
               {'a': values(case, 'a', (m, k)), 'b': values(case, 'b', (k, n))})

    # n, ic, ih, iw, oc, kh, kw, bias, then stride, dilation, top, left, bottom, right
    for i, (n, ic, ih, iw, oc, kh, kw, bias, *geometry) in enumerate([
            (1, 4, 5, 7, 3, 1, 1, 1, 1, 1, 0, 0, 0, 0),         # 1x1
            (2, 3, 6, 5, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1),         # the usual 3x3
            (1, 2, 9, 8, 3, 5, 5, 0, 1, 1, 0, 0, 0, 0),         # valid, no bias
            (1, 3, 15, 12, 2, 7, 7, 0, 2, 1, 3, 3, 3, 3),       # ResNet's first layer
            (1, 3, 8, 11, 3, 3, 3, 1, 2, 1, 0, 1, 1, 1),        # TensorFlow's `same` at stride 2
            (1, 3, 7, 9, 4, 3, 3, 1, 1, 2, 2, 2, 2, 2),         # dilated VGG block
            (1, 3, 6, 8, 2, 5, 5, 1, 1, 4, 8, 8, 8, 8),         # SAM's prior layers: a kernel of
                                                                # 17 x 17 on a smaller map
            (2, 2, 10, 13, 3, 2, 4, 1, 3, 2, 3, 0, 1, 5),       # nothing even
            (1, 2, 3, 4, 2, 3, 3, 1, 1, 1, 4, 3, 5, 0),         # more border than kernel
            (1, 3, 9, 7, 5, 1, 1, 0, 2, 1, 0, 0, 0, 0)]):       # ResNet's shortcut
        case = 'conv2d.%d' % i
        inputs = {'in': values(case, 'in', (n, ic, ih, iw)),
                  'weight': values(case, 'weight', (oc, ic, kh, kw))}
        if bias:
            inputs['bias'] = values(case, 'bias', (oc,))
        record(case, lambda x, _: conv2d(x['in'], x['weight'], x.get('bias'), geometry[0],
                                         geometry[1], geometry[2:]), inputs, geometry=geometry)

    # n, channels, ih, iw, k, stride, dilation, top, left, bottom, right
    for i, (n, c, ih, iw, k, stride, dilation, *pads) in enumerate([
            (2, 3, 6, 5, 3, 1, 1, 1, 1, 1, 1),
            (1, 4, 9, 12, 3, 2, 1, 0, 1, 1, 0),
            (1, 2, 7, 8, 5, 1, 2, 4, 4, 4, 4),
            (2, 1, 5, 4, 2, 3, 1, 0, 0, 0, 0)]):
        case = 'depthwise.%d' % i
        record(case, lambda x, _: F.conv2d(F.pad(x['in'], (pads[1], pads[3], pads[0], pads[2])),
                                           x['weight'], x['bias'], stride, 0, dilation, c),
               {'in': values(case, 'in', (n, c, ih, iw)),
                'weight': values(case, 'weight', (c, 1, k, k)),
                'bias': values(case, 'bias', (c,))}, geometry=[stride, dilation, *pads])

    for i, (n, nin, nout, bias) in enumerate([(1, 7, 5, 1), (3, 13, 9, 1), (2, 65, 3, 0)]):
        case = 'dense.%d' % i
        inputs = {'in': values(case, 'in', (n, nin)), 'weight': values(case, 'weight', (nout, nin))}
        if bias:
            inputs['bias'] = values(case, 'bias', (nout,))
        record(case, lambda x, _: F.linear(x['in'], x['weight'], x.get('bias')), inputs)

    for i, (n, pieces, ties) in enumerate([(30, 2, 0), (15, 3, 0), (40, 2, 1)]):
        case = 'maxout.%d' % i
        x = values(case, 'in', (n, pieces))
        if ties:
            x = torch.round(2 * x)
        record(case, lambda x, _: maxout(x['in'], pieces)[0][:, 0], {'in': x},
               arg=maxout(x, pieces)[1][:, 0])

    for i, (n, h, w, k, stride, same, ties) in enumerate([
            (3, 7, 9, 2, 2, 0, 0), (3, 7, 9, 2, 2, 1, 0), (2, 6, 8, 3, 2, 1, 0),
            (2, 5, 5, 2, 1, 1, 0), (2, 6, 7, 3, 1, 0, 0), (1, 2, 3, 5, 3, 1, 0),
            (2, 9, 9, 3, 2, 1, 1)]):
        case = 'maxpool.%d' % i
        x = values(case, 'in', (1, n, h, w), -2, -1)    # negative: a padded zero would win
        if ties:
            x = torch.round(2 * x)
        record(case, lambda x, _: maxpool(x['in'], k, stride, same)[0], {'in': x},
               arg=maxpool(x, k, stride, same)[1], geometry=[k, stride, same])

    for name, function in (('relu', F.relu), ('relu6', F.relu6), ('sigmoid', torch.sigmoid),
                           ('tanh', torch.tanh)):
        x = values(name, 'in', (60,), -8, 8)
        x[:6] = torch.tensor([0, -0.0, 1e-6, -1e-6, 100, -100])     # slope 0 at 0 for ReLU
        record(name + '.0', lambda x, _: function(x['in']), {'in': x})

    for i, (n, size, scale) in enumerate([(1, 1, 1), (3, 35, 4), (2, 48, 2000)]):
        case = 'softmax.%d' % i
        record(case, lambda x, _: torch.softmax(x['in'], 1),
               {'in': values(case, 'in', (n, size), -scale, scale)})

    n, c, h, w = 3, 5, 4, 3
    affine = {'in': values('batchnorm', 'in', (n, c, h, w), -1, 3),
              'weight': values('batchnorm', 'weight', (c,), .5, 1.5),
              'bias': values('batchnorm', 'bias', (c,))}
    record('batchnorm.0', lambda x, f: batchnorm(x['in'], x['weight'], x['bias'], f['mean'],
                                                 f['var']), affine,
           {'mean': values('batchnorm', 'mean', (c,)),
            'var': values('batchnorm', 'var', (c,), .1, 2)})
    # while training: the batch's own statistics; var is the biased one, new_var is updated with
    # the unbiased one as PyTorch does it: new = 0.9 * old + 0.1 * batch
    x = affine['in']
    old = {'running_mean': values('batchnorm_train', 'mean', (c,)),
           'running_var': values('batchnorm_train', 'var', (c,), .1, 2)}
    new = {key: value.clone() for key, value in old.items()}
    record('batchnorm_train.0', lambda x, _: F.batch_norm(
        x['in'], new['running_mean'], new['running_var'], x['weight'], x['bias'], True, 0.1, 1e-5),
           affine, None, **old, new_mean=new['running_mean'], new_var=new['running_var'],
           mean=x.mean((0, 2, 3)), var=x.var((0, 2, 3), unbiased=False))

    for i, rate in enumerate([0.5, 0.3]):
        case = 'dropout.%d' % i
        mask = (values(case, 'mask', (40,), 0, 1) >= rate).double()
        record(case, lambda x, f: x['in'] * f['mask'] / (1 - rate),
               {'in': values(case, 'in', (40,))}, {'mask': mask}, rate=[rate])

    record('concat.0', lambda x, _: torch.cat([x['a'], x['b'], x['c']], 1),
           {key: values('concat', key, (2, channels, 3, 4))
            for key, channels in (('a', 3), ('b', 1), ('c', 2))})
    record('add.0', lambda x, _: x['a'] + x['b'], {key: values('add', key, (37,)) for key in 'ab'})

    for i, (rows, w) in enumerate([(3, 6), (5, 7), (4, 1)]):
        case = 'mirror.%d' % i
        record(case, lambda x, _: x['in'].flip(1), {'in': values(case, 'in', (rows, w))})

    for i, (n, ih, iw, oh, ow) in enumerate([(2, 3, 4, 9, 8), (1, 5, 7, 11, 13), (1, 4, 3, 4, 3),
                                             (2, 1, 1, 3, 5), (1, 1, 4, 2, 7), (1, 9, 7, 4, 3),
                                             (1, 2, 3, 32, 48)]):
        case = 'upsample.%d' % i
        record(case, lambda x, _: upsample(x['in'], oh, ow),
               {'in': values(case, 'in', (1, n, ih, iw))})

    for i, (n, h, w, ph, pw) in enumerate([(2, 10, 13, 1, 1), (1, 21, 17, 2, 3), (3, 7, 9, 7, 9)]):
        case = 'logprior.%d' % i
        domain = [(s + 1) % 2 for s in range(n)]
        record(case, lambda x, _: x['in'] + upsample(x['prior'], h, w)[domain],
               {'in': values(case, 'in', (n, 1, h, w)),
                'prior': values(case, 'prior', (2, 1, ph, pw))},
               domain=domain)
        case = 'prior.%d' % i
        record(case, lambda x, _: prior(x['in'], x['prior']),
               {'in': values(case, 'in', (n, 1, h, w)),
                'prior': values(case, 'prior', (1, 1, ph, pw), .5, 1.5)},
               mask=upsample(values(case, 'prior', (1, 1, ph, pw), .5, 1.5), h, w)[0, 0])

    # sizes at which no Gaussian has two equal maxima, where its gradient would be ambiguous
    for i, (h, w) in enumerate([(5, 8), (8, 5), (7, 10)]):
        case = 'gaussians.%d' % i
        params = torch.cat([values(case, 'mu', (12,), .2, .8),
                            values(case, 'sigma', (12,), .05, 1)])
        record(case, lambda x, _: gaussians(x['params'], h, w), {'params': params})
    params = tensor('gaussians.3', (8,), .3, .7)
    tensors['gaussians.3.params'] = params.numpy()
    tensors['gaussians.3.out'] = gaussians(params, 4, 1).numpy()        # one column: x = 0

    for i, (n, c, h, w, steps) in enumerate([(1, 3, 4, 5, 1), (2, 4, 5, 3, 4)]):
        case = 'convlstm.%d' % i
        inputs = {'in': values(case, 'in', (n, c, h, w), -2, 2)}
        for gate in GATES:
            out = 1 if gate == 'Va' else c
            inputs[gate + '.weight'] = values(case, gate, (out, c, 3, 3), -.7, .7)
            if gate != 'Va':
                inputs[gate + '.bias'] = values(case, gate + '.bias', (c,))
        record(case, lambda x, _: convlstm(x['in'], x, steps), inputs, steps=[steps])

    write_safetensors(os.path.join(HERE, 'ops.safetensors'), tensors, {
        'made_by': 'make_golden.py, PyTorch ' + torch.__version__,
        'conv2d.geometry': 'stride, dilation, top, left, bottom, right',
        'maxpool.geometry': 'kernel, stride, 1 same or 0 valid'})
    return tensors


# --- nets.safetensors ----------------------------------------------------------------------------

SEED = 52     # one for which no output is mostly zeros


def seeded(name, shape):
    """Parameters that keep activations at the scale of the input: tests/seeded.h."""
    count, last = int(np.prod(shape)), name.split('.')[-1]
    if last == 'prior':
        low, high = .5, 1.5
    elif len(shape) >= 2:
        high = math.sqrt(6 / (count / shape[0]))        # He et al. 2015, uniform
        if '.lstm.W' in name and '.Wa.' not in name:    # see the input divided by the attention
            high *= 16
        low = -high
    elif last == 'params':                              # mu, then sigma
        low, high = np.repeat([.3, .05], count // 2), np.repeat([.7, .3], count // 2)
    elif last == 'weight':                              # of batch-norm
        low, high = .4, .8
    elif last == 'running_var':
        low, high = .5, 1.5
    else:                                               # biases, running_mean
        low, high = -.1, .1
    return tensor(name, shape, low, high, SEED)


def make_nets():
    """KIND.NARROW.out and a few values from inside, for the input uniform(-1, 1) called "input".

    NARROW divides all inner channels: a narrow network is small enough for the textbook loops.
    KIND.NARROW.v15 has torchvision's stride placement, KIND.NARROW.plain.STEPS.PRIORS and
    KIND.NARROW.dilated.STEPS.PRIORS are variants."""
    tensors = {}
    for kind, narrow, h, w, *more in [('juntingnet', 1, 96, 96), ('wepsam', 1, 128, 128),
                                     ('mlnet', 1, 80, 96), ('mlnet', 8, 168, 240),
                                     ('sam-vgg', 1, 48, 64), ('sam-vgg', 8, 72, 40),
                                     ('sam-resnet', 1, 48, 64), ('sam-resnet', 8, 72, 40),
                                     ('sam-resnet', 8, 72, 40, True),
                                     ('lite', 1, 96, 128), ('lite', 8, 72, 40),
                                     ('sam-vgg', 8, 72, 104, 'plain', 0, 'none'),
                                     ('sam-vgg', 8, 72, 40, 'dilated', 2, 'gaussian'),
                                     ('sam-resnet', 8, 72, 104, 'plain', 1, 'gaussian'),
                                     ('sam-resnet', 8, 88, 168, 'dilated', 0, 'mask'),
                                     ('mlnet', 8, 72, 40, 'dilated', 4, 'none')]:
        v15 = len(more) == 1
        plain, steps, priors = (more[0] == 'plain', *more[1:]) if len(more) > 1 else (False, 4, None)
        net = Net(kind, seeded, narrow, v15, plain, steps, priors)
        out = net.forward(tensor('input', (1, 3, h, w), -1, 1, SEED))
        name = '.'.join(str(part) for part in [kind, narrow] + (['v15'] if v15 else more))
        tensors[name + '.out'] = out.numpy()
        for key, value in net.seen.items():     # 64 values spread over all
            count = value.numel()
            tensors['%s.%s' % (name, key)] = value.flatten().numpy()[np.arange(64) * count // 64]
        print('%-14s %4d x %-4d %9d parameters, output %.3g to %.3g, %2.0f%% not zero' % (
            name, h, w, sum(p.numel() for p in net.params.values()), out.min(), out.max(),
            100 * (out != 0).double().mean()))
        for key, value in net.seen.items():
            print('%16s: mean square %.3g' % (key, (value**2).mean()))
    write_safetensors(os.path.join(HERE, 'nets.safetensors'), tensors,
                      {'made_by': 'make_golden.py, PyTorch ' + torch.__version__})


if __name__ == '__main__':
    torch.set_num_threads(1)
    make_ops()
    make_nets()
    for file in ('ops.safetensors', 'nets.safetensors'):
        print(file, os.path.getsize(os.path.join(HERE, file)), 'bytes')
