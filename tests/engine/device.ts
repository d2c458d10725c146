import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { driverEnvironment, openDevice } from '../../engine/dawn.js';
import { Graph } from '../../engine/graph.js';
import { relu } from '../../engine/ops/relu.js';
import { Plan } from '../../engine/plan.js';
import { inDirectory } from '../helpers/data.js';
import { testDevice } from '../helpers/device.js';
import { skip } from '../helpers/skip.js';

const device = await testDevice();
const test = suite('device');

async function messageOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return 'no error';
}

test('it names its adapter and has the adapter’s own limits', () => {
  assert.ok(device.description.length > 10);
  assert.is(device.gpu.limits.maxBufferSize, device.adapter.limits.maxBufferSize);
  assert.is(device.traits.maxBindingBytes, device.adapter.limits.maxStorageBufferBindingSize);
});

test('an adapter is picked by a part of its name, and an unknown name is an error', async () => {
  const name = device.adapter.info.device || device.adapter.info.description;
  const same = await openDevice({ adapter: name.split(' ')[0] });
  assert.is(same.platform.name, device.platform.name);
  same.close();
  assert.match(await messageOf(() => openDevice({ adapter: 'no such card' })), /^DeviceError: .*no such card/);
});

test('a lost device ends the work with its reason', async () => {
  const lost = await openDevice();
  const graph = new Graph();
  const y = relu(graph.input('x', [1, 1, 2, 2]));
  const plan = await Plan.compile(lost, graph, { outputs: [y] });
  lost.gpu.destroy();
  await lost.gpu.lost;
  assert.match(
    await messageOf(async () => plan.run()),
    /^DeviceError: the device was lost \(destroyed\).*can be resumed/,
  );
  assert.match(await messageOf(() => plan.read(y)), /^DeviceError: the device was lost/);
});

test('a buffer beyond the limit is refused with its name', () => {
  assert.throws(
    () => device.createBuffer('too much', device.gpu.limits.maxBufferSize + 16, 128),
    /too much needs \d+ bytes; a buffer of this adapter holds/,
  );
});

test('the software driver gets vectors of 512 bits where the processor takes them whole, and a cache for each width', () => {
  const intel = 'vendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t\t: fpu avx2 avx512f avx512vl\n';
  const wide = driverEnvironment({}, intel, '/c');
  assert.is(wide.LP_NATIVE_VECTOR_WIDTH, '512');
  assert.match(wide.MESA_SHADER_CACHE_DIR, /vectors-of-512$/);
  const zen = (family: number) => intel.replace('GenuineIntel', 'AuthenticAMD').replace(': 6', `: ${family}`);
  assert.equal(driverEnvironment({}, zen(26), '/c'), wide);
  assert.equal(driverEnvironment({}, zen(25), '/c'), {}, 'Zen 4 takes them in halves');
  assert.equal(driverEnvironment({}, intel.replace('avx512vl', ''), '/c'), {});
  assert.equal(driverEnvironment({ MESA_SHADER_CACHE_DIR: '/mine' }, '', '/c'), {});
  const narrow = driverEnvironment({ LP_NATIVE_VECTOR_WIDTH: '256', MESA_SHADER_CACHE_DIR: '/mine' }, intel, '/c');
  assert.is(narrow.LP_NATIVE_VECTOR_WIDTH, '256');
  assert.match(narrow.MESA_SHADER_CACHE_DIR, /mine.vectors-of-256$/);
  assert.equal(driverEnvironment(narrow, intel, '/c'), narrow, 'a child of ours');
});

test('a driver of its own finds its cache where the environment says so by then', () =>
  inDirectory(async (directory) => {
    const before = process.env.MESA_SHADER_CACHE_DIR;
    if (!/llvmpipe/.test(device.platform.name)) return skip('the adapter is not llvmpipe, whose cache this looks for');
    process.env.MESA_SHADER_CACHE_DIR = directory;
    const other = await openDevice({ ownDriver: true });
    try {
      const graph = new Graph();
      const x = graph.input('x', [1, 1, 1, 1]);
      const plan = await Plan.compile(other, graph, { outputs: [relu(x)] });
      plan.run();
      await other.wait(other.gpu.queue.onSubmittedWorkDone());
      assert.ok(readdirSync(directory).length > 0);
      plan.destroy();
    } finally {
      other.close();
      if (before === undefined) delete process.env.MESA_SHADER_CACHE_DIR;
      else process.env.MESA_SHADER_CACHE_DIR = before;
    }
  }));

test.run();
