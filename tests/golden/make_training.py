#!/usr/bin/python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Expected values for tests/test_training.c, computed by PyTorch's autograd and optimisers.

    training.safetensors   losses, optimisers, schedules, gradients of whole networks

`make test` reads this file and needs no Python. To make it again, on Debian:

    sudo apt-get install python3-torch && python3 tests/golden/make_training.py

Losses are written here a second time, from the papers; everything runs in float64 and is stored as
float32, except for learning rates, which are stored times 1e6.
"""
import os

import torch
import torch.nn.functional as F

from make_golden import HERE, KINDS, SEED, Net, seeded, tensor, write_safetensors

EPS = 1e-7

# --- losses of one map; CC and NSS without sign -------------------------------------------------


def share(x):
    return x / (x.sum() + EPS)


LOSSES = {
    'mse': lambda x, y: F.mse_loss(x, y),
    'mlnet': lambda x, y: (((x / x.max() - y) / (1.1 - y))**2).mean(),
    'mlnet_code': lambda x, y: ((x / x.max() - y)**2 / (1.1 - y)).mean(),
    'nss': lambda x, f: (f * (x - x.mean()) / (x.std(unbiased=False) + EPS)).sum() / f.sum(),
    'cc': lambda x, y: torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1],
    'kl': lambda x, y: (share(y) * torch.log(share(y) / (share(x) + EPS) + EPS)).sum(),
    'tvd': lambda x, y: (share(x) - share(y)).abs().sum() / 2,
    'chi2': lambda x, y: (share(y)**2 / (share(x) + EPS) - share(y)).sum(),
    'cosine': lambda x, y: 1 - F.cosine_similarity(x.flatten(), y.flatten(), 0),
    'bce': lambda x, y: F.binary_cross_entropy(x, y),
}


def sam(x, y, f):
    """The released code: enlarged 16 times, divided by the maximum."""
    x = F.interpolate(x[None, None], scale_factor=16, mode='bilinear', align_corners=False)[0, 0]
    x = x / x.max()
    return 10 * LOSSES['kl'](x, y) - 2 * LOSSES['cc'](x, y) - LOSSES['nss'](x, f)


def losses(tensors):
    x = tensor('x', (7, 9), .02, .9)
    y = tensor('y', (7, 9), 0, 1)
    f = (tensor('f', (7, 9), 0, 4) - .5).clamp(min=0).round() * (tensor('g', (7, 9), 0, 1) > .7)
    tensors.update({'loss.x': x, 'loss.density': y, 'loss.fixations': f})
    for name, loss in LOSSES.items():
        leaf = x.clone().requires_grad_()
        value = loss(leaf, f if name == 'nss' else y)
        value.backward()
        tensors['loss.%s.value' % name] = value.detach().reshape(1)
        tensors['loss.%s.dx' % name] = leaf.grad
    leaf = x[:3, :4].clone().requires_grad_()
    y = tensor('big', (48, 64), 0, 1)**4
    f = (tensor('bigf', (48, 64), 0, 1) > .99).double()
    value = sam(leaf, y, f)
    value.backward()
    tensors.update({'sam.x': leaf.detach(), 'sam.density': y, 'sam.fixations': f,
                    'sam.value': value.detach().reshape(1), 'sam.dx': leaf.grad})


# --- optimisers: five steps down the same gradients ----------------------------------------------

OPTIMISERS = {
    'sgd': lambda p: torch.optim.SGD(p, .1, momentum=.9, weight_decay=.01),
    'nesterov': lambda p: torch.optim.SGD(p, .1, momentum=.9, nesterov=True),
    'rmsprop': lambda p: torch.optim.RMSprop(p, .1, alpha=.9, eps=1e-3),
    'adam': lambda p: torch.optim.Adam(p, .1, betas=(.9, .99), eps=1e-3, weight_decay=.01),
    'adamw': lambda p: torch.optim.AdamW(p, .1, betas=(.9, .99), eps=1e-3, weight_decay=.01),
}


def optimisers(tensors):
    tensors['optim.w'] = tensor('w', (20,), -1, 1)
    tensors['optim.g'] = tensor('g', (5, 20), -1, 1)
    for name, make in OPTIMISERS.items():
        w = tensors['optim.w'].clone().requires_grad_()
        optimiser = make([w])
        for g in tensors['optim.g']:
            w.grad = g.clone()
            optimiser.step()
        tensors['optim.' + name] = w.detach()
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], .1, momentum=.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, .1, total_steps=50)
    rates = []
    for _ in range(50):
        rates.append(cycle.get_last_lr()[0])
        optimiser.step()
        if len(rates) < 50:
            cycle.step()
    tensors['schedule.one_cycle'] = torch.tensor(rates) * 1e6


# --- whole networks: of each parameter's gradient, its length and its product with a random vector --


def networks(tensors):
    for kind in KINDS:
        h, w = {'juntingnet': (96, 96), 'wepsam': (128, 128)}.get(kind, (56, 40))
        net = Net(kind, lambda name, shape: seeded(name, shape).requires_grad_(), 8)
        x = tensor('input', (2, 3, h, w), -1, 1, SEED).requires_grad_()
        out = getattr(net, kind.replace('-', '_'))(x)
        out.backward(tensor('dout', out.shape, -1, 1, SEED))
        leaves = dict(net.params, input=x)
        for name, value in leaves.items():
            if 'running' in name:
                continue
            probe = tensor('probe.' + name, value.shape, -1, 1, SEED)
            tensors['net.%s.%s' % (kind, name)] = torch.stack([value.grad.norm(),
                                                               (value.grad * probe).sum()])
        print(kind, 'gradient', sum(float(v.grad.norm())**2 for v in leaves.values()
                                    if v.grad is not None)**.5,
              'output not zero', float((out != 0).double().mean()))


if __name__ == '__main__':
    torch.set_num_threads(1)
    results = {}
    losses(results)
    optimisers(results)
    networks(results)
    path = os.path.join(HERE, 'training.safetensors')
    write_safetensors(path, {k: v.detach().numpy() for k, v in results.items()},
                      {'made_by': 'make_training.py, PyTorch ' + torch.__version__})
    print(os.path.getsize(path), 'bytes')
