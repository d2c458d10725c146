// TensorFlow.js on its WebGPU backend as an engine of `bench peers`. Its layout is NHWC, its filters are HWIO.
import { createRequire } from 'node:module';
import { offerNavigator, SLEEPING, WAITS, waitIn, watch } from '../../dist/bench/peers/browser.js';
import { readInputs, serve } from '../../dist/bench/peers/child.js';
import { COMPARED_STEPS, isStep, LEARNING_RATE } from '../../dist/bench/peers/works.js';

const require = createRequire(import.meta.url);

// Its kernels are looked up by name; the public functions for gradients run the forward pass as well.
const runConvolution = (tf, { work, pass, stride: s, padding }, x, w, dy) => {
  const options = { strides: [s, s], pad: padding, dataFormat: 'NHWC', dimRoundingMode: undefined };
  const conv = (x, filter) => tf.conv2d(x, filter, s, padding);
  const toInput = (dy, filter, inputShape) =>
    tf.engine().runKernel('Conv2DBackpropInput', { dy, filter }, { ...options, inputShape });
  const toFilter = (x, dy) =>
    tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, { ...options, filterShape: w.shape });
  if (work === 'conv2d') {
    return {
      forward: () => conv(x, w),
      'input gradient': () => toInput(dy, w, x.shape),
      'filter gradient': () => toFilter(x, dy),
    }[pass]();
  }
  return {
    forward: () => toInput(x, w, dy.shape),
    'input gradient': () => conv(dy, w),
    'filter gradient': () => toFilter(dy, x),
  }[pass]();
};

const logitsOf = (tf, p, image, training) => {
  const norm = (x, name) => {
    const { mean, variance } = training
      ? tf.moments(x, [0, 1, 2])
      : { mean: p.zeros(x.shape[3]), variance: p.ones(x.shape[3]) };
    return tf.batchNorm(x, mean, variance, p.get(`${name}.bias`), p.get(`${name}.weight`), 1e-5);
  };
  const double = (x, name) =>
    [1, 2].reduce(
      (x, i) => tf.relu(norm(tf.conv2d(x, p.get(`${name}.conv${i}.weight`), 1, 'same'), `${name}.bn${i}`)),
      x,
    );
  let x = image;
  const skips = [];
  for (const level of [1, 2, 3, 4]) {
    skips.push(double(x, `enc${level}`));
    x = tf.maxPool(skips.at(-1), 2, 2, 'valid');
  }
  x = double(x, 'bottom');
  for (const level of [4, 3, 2, 1]) {
    const [n, h, w, c] = x.shape;
    const up = tf.conv2dTranspose(x, p.get(`dec${level}.up.weight`), [n, 2 * h, 2 * w, c / 2], 2, 'valid');
    x = double(tf.concat([skips[level - 1], tf.add(up, p.get(`dec${level}.up.bias`))], 3), `dec${level}`);
  }
  return tf.add(tf.conv2d(x, p.get('head.weight'), 1, 'same'), p.get('head.bias'));
};

const lossOf = (tf, logits, target) => {
  const bce = tf.mean(
    tf.add(tf.sub(tf.relu(logits), tf.mul(logits, target)), tf.log1p(tf.exp(tf.neg(tf.abs(logits))))),
  );
  const p = tf.sigmoid(logits);
  const sum = (x) => tf.sum(x, [1, 2, 3]);
  const dice = tf.div(tf.add(tf.mul(2, sum(tf.mul(p, target))), 1), tf.add(tf.add(sum(p), sum(target)), 1));
  return tf.add(bce, tf.mean(tf.sub(1, dice)));
};

await serve(async () => {
  const adapter = await offerNavigator(process.argv[2]);
  const tf = require('@tensorflow/tfjs');
  require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js gives no WebGPU backend');
  await tf.ready();
  const { device } = tf.backend();
  const check = watch(device);

  const upload = (tensors, name) => {
    const { shape, data } = tensors.get(name);
    return tf.tidy(() => {
      const tensor = tf.tensor(data, shape);
      if (shape.length < 4) return tensor;
      // NCHW to NHWC; OIHW to HWIO, and IOHW of transposed filters to HWOI.
      return tf.transpose(tensor, name === 'w' || name.endsWith('weight') ? [2, 3, 1, 0] : [0, 2, 3, 1]);
    });
  };
  const done = async (mode, submit) => {
    submit();
    // It gathers passes; only what is submitted can be waited for.
    tf.backend().endComputePassEncoder();
    tf.backend().submitQueue();
    await waitIn(mode, device.queue.onSubmittedWorkDone());
    check();
  };

  const prepareConvolution = (work, tensors) => {
    const [x, w, dy] = ['x', 'w', 'dy'].map((name) => upload(tensors, name));
    const call = () => runConvolution(tf, work, x, w, dy);
    return {
      async result() {
        const order = work.pass === 'filter gradient' ? [3, 2, 0, 1] : [0, 3, 1, 2];
        const data = tf.tidy(() => tf.transpose(call(), order));
        const values = await waitIn(SLEEPING, data.data());
        check();
        data.dispose();
        return values;
      },
      run: (count, mode) =>
        done(mode, () => {
          for (let i = 0; i < count; i++) tf.dispose(call());
        }),
      destroy: () => tf.dispose([x, w, dy]),
    };
  };

  const prepareStep = (work, tensors) => {
    if (work.net !== 'unet') throw new Error(`only the UNet is written down for it, not ${work.net}`);
    const training = work.work === 'train';
    const names = [...tensors.keys()].filter((name) => name !== 'image' && name !== 'target');
    const [image, target] = ['image', 'target'].map((name) => upload(tensors, name));
    const variables = new Map(names.map((name) => [name, tf.variable(upload(tensors, name))]));
    const fills = new Map();
    const fill = (value, c) => {
      const key = `${value} ${c}`;
      if (!fills.has(key)) fills.set(key, tf.keep(tf.fill([c], value)));
      return fills.get(key);
    };
    const p = { get: (name) => variables.get(name), zeros: (c) => fill(0, c), ones: (c) => fill(1, c) };
    const adam = tf.train.adam(LEARNING_RATE, 0.9, 0.999, 1e-8);
    const list = [...variables.values()];
    const train = () => adam.minimize(() => lossOf(tf, logitsOf(tf, p, image, true), target), true, list);
    const infer = () => tf.tidy(() => logitsOf(tf, p, image, false));
    return {
      async result() {
        if (!training) {
          const logits = infer();
          const data = await waitIn(SLEEPING, logits.data());
          check();
          logits.dispose();
          return data;
        }
        const losses = [];
        while (losses.length < COMPARED_STEPS) {
          const loss = train();
          losses.push((await waitIn(SLEEPING, loss.data()))[0]);
          loss.dispose();
        }
        check();
        return Float32Array.from(losses);
      },
      async run(count, mode) {
        for (let i = 0; i < count; i++) await done(mode, () => (training ? train() : infer()).dispose());
      },
      destroy() {
        adam.dispose();
        tf.dispose([image, target, ...list, ...fills.values()]);
      },
    };
  };

  return {
    name: `TensorFlow.js ${tf.version_core} WebGPU`,
    adapter,
    modes: WAITS,
    prepare: async (work, inputs) => (isStep(work) ? prepareStep : prepareConvolution)(work, readInputs(inputs)),
  };
});
