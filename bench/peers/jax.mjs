// jax-js on its WebGPU backend as an engine of `bench peers`, every call under its jit. Its layout is PyTorch's.
import { createRequire } from 'node:module';
import { offerNavigator, SLEEPING, WAITS, waitIn, watch } from '../../dist/bench/peers/browser.js';
import { readInputs, serve } from '../../dist/bench/peers/child.js';
import { COMPARED_STEPS, isStep, LEARNING_RATE } from '../../dist/bench/peers/works.js';

const [BETA1, BETA2, EPS] = [0.9, 0.999, 1e-8];
const TRANSPOSED =
  'transposed convolution written as a matrix product: lax.convTranspose with transposeKernel gives wrong values';

await serve(async () => {
  const adapter = await offerNavigator(process.argv[2]);
  const jax = await import('@jax-js/jax');
  await jax.init('webgpu');
  jax.defaultDevice('webgpu');
  const check = watch(await jax.getWebGPUDevice());
  const { lax, nn, numpy: np } = jax;
  const { version } = createRequire(import.meta.url)('./node_modules/@jax-js/jax/package.json');

  const upload = ({ shape, data }) => np.array(data).reshape(shape);
  const conv = (x, w, stride, padding) =>
    lax.convGeneralDilated(
      x,
      w,
      [stride, stride],
      [
        [padding, padding],
        [padding, padding],
      ],
    );
  // Kernel 2 and stride 2 do not overlap.
  const up = (x, w) => {
    const [n, , h, wide] = x.shape;
    const out = w.shape[1];
    const product = lax.dot(x, w, { lhsContractingDims: [1], rhsContractingDims: [0] });
    return np.transpose(product, [0, 3, 1, 4, 2, 5]).reshape([n, out, 2 * h, 2 * wide]);
  };
  // Every function takes its arguments' ownership; `.ref` is one more owner.
  const vector = (x) => x.reshape([1, -1, 1, 1]);
  const logitsOf = (p, image, training) => {
    const norm = (x, name) => {
      let scaled = x;
      if (training) {
        const centred = x.ref.sub(np.mean(x, [0, 2, 3], { keepdims: true }));
        const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
        scaled = centred.div(np.sqrt(variance.add(1e-5)));
      } else {
        // Running statistics of a fresh net: mean 0, variance 1.
        scaled = x.div(Math.sqrt(1 + 1e-5));
      }
      return scaled.mul(vector(p[`${name}.weight`].ref)).add(vector(p[`${name}.bias`].ref));
    };
    const double = (x, name) =>
      [1, 2].reduce((x, i) => nn.relu(norm(conv(x, p[`${name}.conv${i}.weight`].ref, 1, 1), `${name}.bn${i}`)), x);
    let x = image;
    const skips = [];
    for (const level of [1, 2, 3, 4]) {
      skips.push(double(x, `enc${level}`));
      const [n, c, h, w] = skips.at(-1).shape;
      x = np.max(skips.at(-1).ref.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
    }
    x = double(x, 'bottom');
    for (const level of [4, 3, 2, 1]) {
      const larger = up(x, p[`dec${level}.up.weight`].ref).add(vector(p[`dec${level}.up.bias`].ref));
      x = double(np.concatenate([skips[level - 1], larger], 1), `dec${level}`);
    }
    const logits = conv(x, p['head.weight'].ref, 1, 0).add(vector(p['head.bias'].ref));
    Object.values(p).forEach((parameter) => parameter.dispose());
    return logits;
  };
  const lossOf = (p, image, target) => {
    const z = logitsOf(p, image, true);
    const bce = np.mean(
      nn
        .relu(z.ref)
        .sub(z.ref.mul(target.ref))
        .add(np.log1p(np.exp(np.abs(z.ref).mul(-1)))),
    );
    const probability = nn.sigmoid(z);
    const sum = (x) => np.sum(x, [1, 2, 3]);
    const both = sum(probability.ref.mul(target.ref)).mul(2).add(1);
    const dice = both.div(sum(probability).add(sum(target)).add(1));
    return bce.add(np.mean(dice.mul(-1).add(1)));
  };
  const trainStep = jax.jit((state, corrections, image, target) => {
    const { p, m, v } = state;
    const owned = Object.fromEntries(Object.entries(p).map(([name, value]) => [name, value.ref]));
    const [loss, g] = jax.valueAndGrad(lossOf)(owned, image, target);
    const next = { p: {}, m: {}, v: {} };
    for (const name of Object.keys(p)) {
      next.m[name] = m[name].mul(BETA1).add(g[name].ref.mul(1 - BETA1));
      next.v[name] = v[name].mul(BETA2).add(np.square(g[name]).mul(1 - BETA2));
      const mean = next.m[name].ref.div(corrections.ref.slice(0));
      const root = np.sqrt(next.v[name].ref.div(corrections.ref.slice(1)));
      next.p[name] = p[name].sub(mean.div(root.add(EPS)).mul(LEARNING_RATE));
    }
    corrections.dispose();
    return [loss, next];
  });
  const inferStep = jax.jit((p, image) => logitsOf(p, image, false));

  const prepareConvolution = (work, tensors) => {
    const transposed = work.work === 'convTranspose2d';
    const of = (x, w) => (transposed ? up(x, w) : conv(x, w, work.stride, work.padding));
    const given = Object.fromEntries(['x', 'w', 'dy'].map((name) => [name, upload(tensors.get(name))]));
    const back = (f, primal, dy) => {
      const [y, pull] = jax.vjp(f, [primal]);
      y.dispose();
      const [gradient] = pull(dy);
      pull.dispose();
      return gradient;
    };
    const { names, call } = {
      forward: { names: ['x', 'w'], call: jax.jit(of) },
      'input gradient': { names: ['x', 'w', 'dy'], call: jax.jit((x, w, dy) => back((x) => of(x, w), x, dy)) },
      'filter gradient': { names: ['x', 'w', 'dy'], call: jax.jit((x, w, dy) => back((w) => of(x, w), w, dy)) },
    }[work.pass];
    const once = () => call(...names.map((name) => given[name].ref));
    return {
      note: transposed ? TRANSPOSED : undefined,
      result: () => waitIn(SLEEPING, once().data()),
      async run(count, mode) {
        // Work is submitted when its result is asked for, and dropped with a result that nobody asked for.
        const made = Array.from({ length: count }, once);
        await waitIn(mode, jax.blockUntilReady(made));
        check();
        made.forEach((array) => array.dispose());
      },
      destroy: () => Object.values(given).forEach((array) => array.dispose()),
    };
  };

  const prepareStep = (work, tensors) => {
    if (work.net !== 'unet') throw new Error(`only the UNet is written down for it, not ${work.net}`);
    const training = work.work === 'train';
    const image = upload(tensors.get('image'));
    const target = upload(tensors.get('target'));
    const names = [...tensors.keys()].filter((name) => name !== 'image' && name !== 'target');
    const all = (make) => Object.fromEntries(names.map((name) => [name, make(tensors.get(name))]));
    const zeros = ({ shape }) => np.zeros(shape);
    let state = { p: all(upload), ...(training ? { m: all(zeros), v: all(zeros) } : {}) };
    const refs = (tree) => Object.fromEntries(Object.entries(tree).map(([name, value]) => [name, value.ref]));
    let step = 0;
    const train = async (mode) => {
      step++;
      const corrections = np.array(Float32Array.of(1 - BETA1 ** step, 1 - BETA2 ** step));
      const [loss, next] = trainStep(state, corrections, image.ref, target.ref);
      state = next;
      await waitIn(mode, jax.blockUntilReady([loss, next.p]));
      check();
      return loss;
    };
    return {
      note: TRANSPOSED,
      async result() {
        if (!training) return waitIn(SLEEPING, inferStep(refs(state.p), image.ref).data());
        const losses = [];
        while (losses.length < COMPARED_STEPS) losses.push((await (await train(SLEEPING)).data())[0]);
        return Float32Array.from(losses);
      },
      async run(count, mode) {
        for (let i = 0; i < count; i++) {
          const made = training ? await train(mode) : inferStep(refs(state.p), image.ref);
          if (!training) await waitIn(mode, jax.blockUntilReady(made));
          check();
          made.dispose();
        }
      },
      destroy() {
        [image, target, ...Object.values(state).flatMap((tree) => Object.values(tree))].forEach((a) => a.dispose());
      },
    };
  };

  return {
    name: `jax-js ${version} WebGPU`,
    adapter,
    modes: WAITS,
    prepare: async (work, inputs) => (isStep(work) ? prepareStep : prepareConvolution)(work, readInputs(inputs)),
  };
});
