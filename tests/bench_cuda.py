#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""saliency_cuda.cu beside PyTorch with cuDNN, in one run on one GPU.

    make bench-cuda                                   (or:)
    python3 tests/bench_cuda.py build/bench_cuda_gpu [-m NET] [-b BATCH] [--f32] [--layers]

The program prints its layers; the same network is built from them in PyTorch (channels-last, TF32
allowed unless --f32, torch.compile off) and timed the same way: medians, input from and output to
the host. Ratios above 1: we are faster. The peak is what cuBLAS reaches in a 8192 x 8192 product.
Without PyTorch or without its CUDA only our own numbers are shown. --selftest builds the networks on
the CPU and compares their shapes, no GPU needed: it reads the program's JSON from standard input.
"""
import json, statistics, subprocess, sys, time

try:
    import torch, torch.nn as nn, torch.nn.functional as F
except ImportError:
    torch = None
RUNS, WARM = 20, 5


def conv(l):
    out, into, k, _ = l['dim']
    groups = l['shape'][0] if l['op'] == 'depthwise' else 1
    return nn.Conv2d(into * groups, out, k, l['stride'], 0 if l['same'] else l['pad'], l['dilation'],
                     groups, bias=l['params'] > 1)


def padded(x, l, value):
    """As TensorFlow: the larger half behind."""
    pad = []
    for side in (x.shape[3], x.shape[2]):
        total = max((side - 1) // l['stride'] * l['stride'] + (l['kernel'] - 1) * l['dilation'] + 1 -
                    side, 0)
        pad += [total // 2, total - total // 2]
    return F.pad(x, pad, value=value)


class Lstm(nn.Module if torch else object):
    """Attentive ConvLSTM (SAM eqs. (1)-(8)), its gates joined into one convolution each way."""
    def __init__(self, c, steps):
        super().__init__()
        self.steps = steps
        self.wa, self.ua = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)
        self.va = nn.Conv2d(c, 1, 3, padding=1, bias=False)
        self.w, self.u = nn.Conv2d(c, 4 * c, 3, padding=1), nn.Conv2d(c, 4 * c, 3, padding=1)

    def forward(self, x):
        h, c, wax = torch.zeros_like(x), torch.zeros_like(x), self.wa(x)
        for _ in range(self.steps):
            z = self.va(torch.tanh(wax + self.ua(h)))
            a = torch.softmax(z.flatten(1), 1).view_as(z)
            i, f, o, g = (self.w(a * x) + self.u(h)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class Net(nn.Module if torch else object):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.part = nn.ModuleDict()
        for i, l in enumerate(layers):
            op, made = l['op'], None
            if op in ('conv2d', 'depthwise'): made = conv(l)
            elif op == 'dense': made = nn.Linear(l['dim'][1], l['dim'][0])
            elif op == 'batchnorm': made = nn.BatchNorm2d(l['shape'][0])
            elif op == 'convlstm': made = Lstm(l['shape'][0], l['steps'])
            elif op in ('prior', 'logprior'):
                made = nn.ParameterList([nn.Parameter(torch.ones(1, 1, *l['dim'][2:]))])
            elif op == 'gaussians':
                made = nn.ParameterList([nn.Parameter(torch.full((4, l['dim'][0] // 4), .5))])
            if made is not None: self.part[str(i)] = made

    def gaussians(self, p, n, h, w):
        x = torch.linspace(0, 1, w, device=p.device)
        y = torch.linspace((1 - h / w) / 2, (1 + h / w) / 2, h, device=p.device)
        g = torch.exp(-((x[None, None] - p[0][:, None, None]) ** 2 / (2 * p[2] ** 2)[:, None, None] +
                        (y[None, :, None] - p[1][:, None, None]) ** 2 / (2 * p[3] ** 2)[:, None, None]))
        return (g / g.amax((1, 2), keepdim=True)).expand(n, -1, -1, -1)

    def forward(self, x):
        v = []
        for i, l in enumerate(self.layers):
            op, part = l['op'], self.part[str(i)] if str(i) in self.part else None
            y = [v[k] for k in l['in']]
            if op == 'input': out = x
            elif op in ('conv2d', 'depthwise'):
                out = part(padded(y[0], l, 0) if l['same'] else y[0])
            elif op == 'dense': out = part(y[0].flatten(1)).view(-1, *l['shape'])
            elif op == 'maxout':
                out = y[0].flatten(1).unflatten(1, (-1, l['kernel'])).amax(2).view(-1, *l['shape'])
            elif op == 'maxpool':
                if l['same']: y[0] = padded(y[0], l, float('-inf'))
                out = F.max_pool2d(y[0], l['kernel'], l['stride'])
            elif op == 'relu': out = F.relu(y[0])
            elif op == 'relu6': out = F.relu6(y[0])
            elif op == 'softmax': out = torch.softmax(y[0].flatten(2), 2).view_as(y[0])
            elif op in ('batchnorm', 'convlstm'): out = part(y[0])
            elif op == 'dropout': out = F.dropout(y[0], .5, self.training)
            elif op == 'concat': out = torch.cat(y, 1)
            elif op == 'add': out = y[0] + y[1]
            elif op == 'upsample': out = F.interpolate(y[0], size=y[1].shape[2:], mode='bilinear')
            elif op in ('prior', 'logprior'):
                prior = F.interpolate(part[0], size=y[0].shape[2:], mode='bilinear')
                out = y[0] * prior if op == 'prior' else y[0] + prior
            elif op == 'gaussians':
                out = self.gaussians(part[0], x.shape[0], *y[0].shape[2:])
            else: raise SystemExit('PyTorch does not know ' + op)
            if list(out.shape[1:]) != l['shape']:
                raise SystemExit(f"{l['name']} ({op}): {list(out.shape[1:])}, not {l['shape']}")
            v.append(out)
        return v[-1]


def median(function):
    times = []
    for t in range(-WARM, RUNS):
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        if t >= 0: times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def pytorch(r):
    net = Net(r['layers']).cuda().to(memory_format=torch.channels_last)
    host = torch.randn(r['batch'], 3, r['h'], r['w'])
    target = torch.zeros(r['batch'], *r['layers'][-1]['shape']).cuda()
    optim = torch.optim.SGD(net.parameters(), 1e-6, momentum=.9)
    give = lambda: host.cuda().contiguous(memory_format=torch.channels_last)

    def predict():
        with torch.no_grad(): net(give()).cpu()

    def step():
        optim.zero_grad()
        loss = F.mse_loss(net(give()), target)
        loss.backward()
        optim.step()
        loss.item()
    net.eval()
    p = median(predict)
    net.train()
    return p, median(step)


def peak():
    a = torch.randn(8192, 8192, device='cuda')
    return 2 * 8192 ** 3 / median(lambda: a @ a) * 1e-9


def main():
    args = sys.argv[1:]
    if args[:1] == ['--selftest']:
        for line in sys.stdin:
            r = json.loads(line)
            with torch.no_grad(): Net(r['layers']).eval()(torch.zeros(1, 3, r['h'], r['w']))
            print('ok  ', r['net'])
        return
    tf32 = '--f32' not in args
    layers = '--layers' in args
    program = [args[0], '--json'] + [a for a in args[1:] if a != '--layers']
    cuda = torch is not None and torch.cuda.is_available()
    top = 0
    if cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        top = peak()
        print(f'PyTorch {torch.__version__}, {torch.cuda.get_device_name(0)}, cuBLAS reaches '
              f'{top:.0f} TFLOP/s ({"TF32" if tf32 else "float32"})')
    else: print('(no PyTorch with CUDA here: our own numbers only)')
    print('| network | batch | predict ms | PyTorch ms | ratio | TFLOP/s | of peak | step ms '
          '| PyTorch ms | ratio |')
    print('| --- ' * 10 + '|')
    for line in subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        r = json.loads(line)
        p, s = pytorch(r) if cuda else (0, 0)
        rate = 2e-9 * r['macs'] / r['predict']
        print(f"| {r['net']} | {r['batch']} | {r['predict']:.2f} | {p:.2f} | {p / r['predict']:.2f} "
              f"| {rate:.1f} | {rate / top if top else 0:.2f} | {r['step']:.2f} | {s:.2f} "
              f"| {s / r['step']:.2f} |")
        for l in r['layers'] if layers else []:
            if l['ms'] > 0: print(f"      {l['name']:28} {l['op']:10} {l['ms']:8.3f} ms")


if __name__ == '__main__':
    main()
