#!/usr/bin/env python3
# SPDX-License-Identifier: Unlicense OR MIT-0
"""Training juntingnet here and with TensorFlow, in turn, fresh processes: pictures a second.

    make build/bench
    python3 tests/bench_training.py [--threads 2] [--batch 128] [--pairs 3] [--steps 5]

Both learn from random pictures in memory with mean squared error, stochastic gradient descent with Nesterov's
momentum, and the limit on the length of each unit's weights of the paper's recipe (--free: TensorFlow without
the limit). A step is the whole of it, forward to new weights; times are medians of the steps after the first.
Needs the package tensorflow-cpu. The last line has the median of the pairs' ratios: above 1, ours is faster.
"""
import argparse, json, os, statistics, subprocess, sys

TENSORFLOW = r'''
import json, os, resource, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
threads, batch, steps, free = (int(v) for v in sys.argv[1:5])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
L, limit = tf.keras.layers, None if free else tf.keras.constraints.MaxNorm(1.9365, axis=0)
x = i = L.Input((96, 96, 3))
for channels, kernel in (32, 5), (64, 3), (64, 3):
    x = L.MaxPool2D()(L.Conv2D(channels, kernel, activation="relu")(x))
x = L.Reshape((2304, 2))(L.Dense(4608, kernel_constraint=limit)(L.Flatten()(x)))
x = L.Dense(2304)(L.Lambda(lambda v: tf.reduce_max(v, axis=-1))(x))
model = tf.keras.Model(i, x)
rule = tf.keras.optimizers.SGD(1e-4, momentum=0.9, nesterov=True)

@tf.function
def step(pictures, maps):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(pictures, training=True) - maps))
    rule.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return loss

r = np.random.default_rng(0)
pictures = tf.constant(r.random((batch, 96, 96, 3), dtype=np.float32))
maps = tf.constant(r.random((batch, 2304), dtype=np.float32))
times = []
for _ in range(steps + 1):
    start = time.perf_counter()
    step(pictures, maps).numpy()
    times.append(time.perf_counter() - start)
print(json.dumps({"pictures": batch / sorted(times[1:])[steps // 2], "parameters": model.count_params(),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "version": tf.__version__}))
'''


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--batch', type=int, default=128)
    p.add_argument('--pairs', type=int, default=3)
    p.add_argument('--steps', type=int, default=5)
    p.add_argument('--free', action='store_true')
    p.add_argument('--bench', default=os.path.join(os.path.dirname(__file__), '..', 'build', 'bench'))
    a = p.parse_args()
    ratios = []
    for _ in range(a.pairs):
        ours = run([a.bench, '-m', 'juntingnet', '--train', str(a.batch), '--runs', str(a.steps),
                    '--threads', str(a.threads), '--json'])
        theirs = run([sys.executable, '-c', TENSORFLOW, str(a.threads), str(a.batch), str(a.steps),
                      str(int(a.free))])
        ratios.append(ours['pictures'] / theirs['pictures'])
        print(f'ours {ours["pictures"]:.0f} pictures/s, {ours["peak_mb"]:.0f} MB; TensorFlow {theirs["version"]} '
              f'{theirs["pictures"]:.0f}, {theirs["peak_mb"]:.0f} MB ({theirs["parameters"]} parameters)', flush=True)
    print(f'{a.threads} threads, batch {a.batch}: {statistics.median(ratios):.2f} times as fast')


if __name__ == '__main__':
    main()
