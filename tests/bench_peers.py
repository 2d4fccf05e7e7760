#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Our networks against ONNX Runtime, OpenVINO (float32 and bfloat16) and ncnn: in turn, fresh processes,
ratios of medians.

    make build/bench
    python3 tests/bench_peers.py FOLDER [--threads 1 2] [--pairs 5] [--runs 5] [--nets mlnet ...]

FOLDER has one ONNX file for each network, NAME.onnx (tests/export_onnx.py FOLDER makes them). Needs the
packages onnxruntime, openvino and numpy, and ncnn for networks that FOLDER also has as NAME.ncnn.param and
NAME.ncnn.bin (the tool pnnx makes them: pnnx NAME.onnx). Ours of lite is weights/lite.safetensors. One
process is started for each measurement; A B C A B C ... so that a machine whose speed drifts treats
all alike.
"""
import argparse, json, os, statistics, subprocess, sys

ORT = r'''
import json, resource, sys, time
import numpy as np, onnxruntime as ort
path, threads, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
o = ort.SessionOptions()
o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
start = time.perf_counter()
s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
load = time.perf_counter() - start
i = s.get_inputs()[0]
x = np.random.default_rng(0).uniform(-1, 1, i.shape).astype(np.float32)
times = []
for _ in range(runs + 1):
    start = time.perf_counter()
    s.run(None, {i.name: x})
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({"median": sorted(times[1:])[runs // 2], "first": times[0], "load": 1e3 * load,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "version": ort.__version__}))
'''
OPENVINO = r'''
import json, resource, sys, time
import numpy as np, openvino as ov
path, threads, runs, precision = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
core = ov.Core()
start = time.perf_counter()
model = core.compile_model(core.read_model(path), 'CPU', {
    'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1, 'PERFORMANCE_HINT': 'LATENCY',
    'INFERENCE_PRECISION_HINT': precision})
load = time.perf_counter() - start
request = model.create_infer_request()
x = np.random.default_rng(0).uniform(-1, 1, list(model.inputs[0].shape)).astype(np.float32)
times = []
for _ in range(runs + 1):
    start = time.perf_counter()
    request.infer([x])
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({"median": sorted(times[1:])[runs // 2], "first": times[0], "load": 1e3 * load,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "version": ov.__version__}))
'''
NCNN = r'''
import json, sys, time
import numpy as np, ncnn
path, threads, runs, shape = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
net = ncnn.Net()
net.opt.num_threads = threads
if net.load_param(path + ".param") or net.load_model(path + ".bin"): sys.exit("ncnn: " + path)
x = np.random.default_rng(0).uniform(-1, 1, [3] + [int(v) for v in shape.split("x")])
times = []
for _ in range(runs + 1):
    start = time.perf_counter()
    e = net.create_extractor()
    e.input("in0", ncnn.Mat(x.astype(np.float32)))
    if e.extract("out0")[0]: sys.exit("ncnn stopped on the way")
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({"median": sorted(times[1:])[runs // 2]}))
'''
SIZES = {'juntingnet': '96x96', 'wepsam': '128x128', 'mlnet': '480x640'}       # others: 240x320
SMALL = ('juntingnet', 'wepsam')        # dominated by dense weights: ours are F16 or I8


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder')
    p.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    p.add_argument('--pairs', type=int, default=5)
    p.add_argument('--runs', type=int, default=5)
    p.add_argument('--nets', nargs='+',
                   default=['juntingnet', 'wepsam', 'mlnet', 'sam-vgg', 'sam-resnet', 'lite'])
    p.add_argument('--bench', default=os.path.join(os.path.dirname(__file__), '..', 'build', 'bench'))
    p.add_argument('--size', help='HxW: lite at another input size (FOLDER has it so)')
    p.add_argument('--simd', help='ours with a lower instruction set, see bench --help')
    a = p.parse_args()
    weights = os.path.join(os.path.dirname(__file__), '..', 'weights', 'lite.safetensors')
    print('| network | threads | ours ms | ONNX Runtime ms | ratio | OpenVINO f32 ms | ratio | OpenVINO bf16 ms '
          '| ratio | ncnn ms | ratio | memory ratio | load + first / warm |')
    print('| --- ' * 13 + '|')
    for net in a.nets:
        for threads in a.threads:
            for dtype in (('F16', 'I8') if net in SMALL else ('F32',)):
                size = a.size if a.size and net == 'lite' else SIZES.get(net, '240x320')
                runs = a.runs * (20 if net in SMALL else 1)
                ours, peers = [], {'ort': [], 'f32': [], 'bf16': [], 'ncnn': []}
                peer = f'{a.folder}/{net.replace("-", "_")}.ncnn'           # as pnnx names it
                for _ in range(a.pairs):
                    model = ['-w', weights] if net == 'lite' else ['-m', net, '--dtype', dtype]
                    ours.append(run([a.bench, *model, '--json', '--size', size, '--threads', str(threads),
                                     '--runs', str(runs)] + (['--simd', a.simd] if a.simd else [])))
                    common = [f'{a.folder}/{net}.onnx', str(threads), str(runs)]
                    peers['ort'].append(run([sys.executable, '-c', ORT, *common]))
                    for kind in ('f32', 'bf16'):
                        peers[kind].append(run([sys.executable, '-c', OPENVINO, *common, kind]))
                    if os.path.exists(peer + '.param'):
                        peers['ncnn'].append(run([sys.executable, '-c', NCNN, peer, *common[1:], size]))
                med = lambda rows, key: statistics.median(r[key] for r in rows)
                ratio = lambda rows: statistics.median(x['median'] / y['median']
                                                       for x, y in zip(ours, rows))
                columns = ' | '.join(f'{med(r, "median"):.2f} | {ratio(r):.2f}' if r else '- | -'
                                     for r in peers.values())
                print(f'| {net} {dtype if net != "lite" else size} | {threads} | {med(ours, "median"):.2f} | {columns} '
                      f'| {med(ours, "peak_mb") / med(peers["ort"], "peak_mb"):.2f} '
                      f'| {med(ours, "first") / med(ours, "median"):.2f} |', flush=True)
    print(f'\nONNX Runtime {peers["ort"][0]["version"]}, OpenVINO {peers["f32"][0]["version"]}; peak of this '
          f'machine {max(x["peak_gflops"] for x in ours):.0f} GFLOP/s with {a.threads[-1]} threads')


if __name__ == '__main__':
    main()
