import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GoldenTensors, readIndex } from '../../cli/verify/golden.js';
import type { Verdict } from '../../cli/verify/judge.js';
import { runFullWidthCase, runNetworkCase } from '../../cli/verify/networks.js';
import { Graph } from '../../engine/graph.js';
import { Variables } from '../../engine/variables.js';
import { NetContext } from '../../nets/context.js';
import { buildNetwork, type NetworkName, networks } from '../../nets/networks.js';
import { testDevice } from '../helpers/device.js';
import { goldenDirectory } from '../helpers/golden.js';

const device = await testDevice();
const tiled = await testDevice('tiled');
const test = suite('networks');

function check(verdicts: Verdict[]): void {
  assert.ok(verdicts.length > 5, 'the case compares next to nothing');
  const wrong = verdicts.filter(({ ratio }) => !(ratio <= 1));
  assert.is(
    wrong.map(({ tensor, ratio, where }) => `${tensor}: ${ratio} times the tolerance, ${where}`).join('\n'),
    '',
  );
}

for (const golden of readIndex(goldenDirectory).filter(({ kind }) => kind === 'network')) {
  test(`${golden.name}: output, loss, gradients, statistics, training steps`, async () => {
    check(await runNetworkCase(device, new GoldenTensors(goldenDirectory, golden)));
  });
  test(`${golden.name} with every op by itself`, async () => {
    check(await runNetworkCase(device, new GoldenTensors(goldenDirectory, golden), { fuse: false }));
  });
  test(`${golden.name} with the kernels for graphics cards`, async () => {
    check(await runNetworkCase(tiled, new GoldenTensors(goldenDirectory, golden)));
  });
}

for (const golden of readIndex(goldenDirectory).filter(({ kind }) => kind === 'fullwidth')) {
  test(`${golden.name}: 31 million parameters`, async () => {
    check(await runFullWidthCase(device, new GoldenTensors(goldenDirectory, golden)));
  });
}

/** Parameters of a net at a width, without any memory of the adapter. */
function build(
  name: NetworkName,
  width: number,
  size: readonly [number, number],
): { shape: readonly number[]; parameters: number } {
  const variables = new Variables(device);
  const graph = new Graph();
  const net = new NetContext(graph, variables, true, 1);
  const classes = name.endsWith('bilinear') ? 2 : 1;
  const logits = buildNetwork(net, graph.input('x', [1, 3, size[0], size[1]]), networks[name], { width, classes });
  return { shape: logits.shape, parameters: variables.parameterCount };
}

// The reports' full widths, from the README's table of recipes.
const PARAMETERS: Record<NetworkName, number> = {
  unet: 31_037_633,
  'unet-bilinear': 31_390_786,
  'unet-milesial': 17_267_393,
  'unet-milesial-convt': 31_043_521,
  'unet-dropout': 31_037_633,
  'unet-upfirst': 31_037_633,
  'resnet34-unet': 30_890_689,
  'resnet34-unet-bilinear': 29_151_938,
  'resnet34-unet-flatstem': 24_455_171,
  'resnet34-unet-flatstem-pool': 24_455_171,
  'resnet34-unet-bridge-dropout': 48_194_369,
  'resnet34-unet-bridge': 48_194_497,
};

test('every network has the published number of parameters at width 64', () => {
  for (const [name, parameters] of Object.entries(PARAMETERS)) {
    assert.is(build(name as NetworkName, 64, [64, 128]).parameters, parameters, name);
  }
});

test('every network takes odd sizes and gives logits of the input size', () => {
  for (const name of Object.keys(networks) as NetworkName[]) {
    const { shape } = build(name, 4, [67, 93]);
    assert.equal(shape, [1, name.endsWith('bilinear') ? 2 : 1, 67, 93], name);
  }
});

test('images and widths that cannot work are refused in words', () => {
  assert.throws(() => build('unet', 4, [15, 64]), /images of 15x64 are too small for this network; it needs 16x16/);
  assert.throws(() => build('resnet34-unet', 4, [64, 31]), /needs 32x32/);
  assert.throws(() => build('unet', 5, [64, 64]), /base width 5: it must be an even number/);
});

test.run();
