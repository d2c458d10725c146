import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeNetwork, networkTable } from '../../nets/describe.js';
import { type NetworkName, networks } from '../../nets/networks.js';

const test = suite('describe');

// Base width 64; GMAC of the forward pass on one image of 256x256 where the reports' table has it.
const TABLE: Record<NetworkName, { parameters: number; gmac?: number }> = {
  unet: { parameters: 31_037_633, gmac: 48.2 },
  'unet-bilinear': { parameters: 31_390_786, gmac: 55.7 },
  'unet-milesial': { parameters: 17_267_393, gmac: 40.0 },
  'unet-milesial-convt': { parameters: 31_043_521 },
  'unet-dropout': { parameters: 31_037_633, gmac: 48.2 },
  'unet-upfirst': { parameters: 31_037_633, gmac: 48.2 },
  'resnet34-unet': { parameters: 30_890_689, gmac: 11.8 },
  'resnet34-unet-bilinear': { parameters: 29_151_938 },
  'resnet34-unet-flatstem': { parameters: 24_455_171 },
  'resnet34-unet-flatstem-pool': { parameters: 24_455_171, gmac: 34.4 },
  'resnet34-unet-bridge-dropout': { parameters: 48_194_369, gmac: 7.3 },
  'resnet34-unet-bridge': { parameters: 48_194_497, gmac: 7.3 },
};

test('parameters and multiply-adds of every network are those of the table', () => {
  assert.equal(Object.keys(TABLE).sort(), Object.keys(networks).sort());
  for (const [net, { parameters, gmac }] of Object.entries(TABLE)) {
    const description = describeNetwork(net as NetworkName);
    assert.is(description.parameters, parameters, net);
    // The table has one decimal; 11.749 stands there as 11.8.
    if (gmac !== undefined) {
      const got = description.multiplyAdds / 1e9;
      assert.ok(Math.abs(got - gmac) <= 0.055, `${net}: ${got} GMAC instead of ${gmac}`);
    }
  }
});

test('a layer counts its own weights, by hand', () => {
  const { layers } = describeNetwork('unet', { width: 4, size: 32 });
  const [conv, norm] = layers;
  assert.equal(conv, {
    name: 'enc1.conv1.conv2d',
    op: 'conv2d',
    output: [1, 4, 32, 32],
    parameters: 108,
    multiplyAdds: 108 * 1024,
  });
  assert.is(norm.op, 'batchNorm2d');
  assert.is(norm.parameters, 8);
  const up = layers.find(({ name }) => name === 'dec4.up.convTranspose2d')!;
  assert.equal(up.output, [1, 32, 4, 4]);
  assert.is(up.parameters, 64 * 32 * 4 + 32);
  assert.is(up.multiplyAdds, 2 * 2 * 64 * 32 * 4);
  const head = layers[layers.length - 1];
  assert.equal([head.output, head.parameters, head.multiplyAdds], [[1, 1, 32, 32], 5, 4 * 1024]);
});

test('the table has a line a layer, and the totals', () => {
  const description = describeNetwork('resnet34-unet', { width: 4, size: 64 });
  const text = networkTable(description);
  assert.match(text, /^resnet34-unet, base width 4, 1 class, one image of 64x64$/m);
  assert.match(text, /^stage2\.0\.skip_conv +conv2d +8 x 8 x 8 +32 +2 048$/m);
  assert.match(text, /^ +maxPool2d +4 x 16 x 16$/m);
  assert.ok(text.split('\n').length >= description.layers.length + 4);
  const [thousands, rest] = [Math.floor(description.parameters / 1000), String(description.parameters).slice(-3)];
  assert.match(text, new RegExp(`^${thousands} ${rest} parameters, 0\\.\\d\\d GMAC forward$`, 'm'));
  assert.ok(text.split('\n').every((line) => line === line.trimEnd()));
});

test('a size that the network does not take is refused', () => {
  assert.throws(() => describeNetwork('resnet34-unet', { size: 16 }), /images of 16x16 are too small/);
});

test.run();
