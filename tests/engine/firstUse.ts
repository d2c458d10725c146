import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.js';
import { useFirst } from '../../engine/firstUse.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { add } from '../../engine/ops/add.js';
import { relu } from '../../engine/ops/relu.js';
import { scale } from '../../engine/ops/scale.js';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { type Pipeline, PipelineCache, type PipelineRequest } from '../../engine/pipelines.js';
import { Plan } from '../../engine/plan.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('firstUse');

/** What a plan asks for. */
async function requestsOf(build: (x: Tensor) => Tensor): Promise<PipelineRequest[]> {
  const requests: PipelineRequest[] = [];
  class Recording extends PipelineCache {
    override get(request: PipelineRequest): Promise<Pipeline> {
      requests.push(request);
      return super.get(request);
    }
  }
  const { gpu, platform } = device;
  const own = Object.assign(Object.create(device), {
    pipelines: new Recording(gpu, { ...platform, helpers: undefined }),
  });
  const graph = new Graph();
  const plan = await Plan.compile(own, graph, { outputs: [build(graph.input('x', [1, 1, 1, 2]))], fuse: false });
  plan.destroy();
  return requests;
}

const requests = (await requestsOf((x) => add(scale(relu(x), 2), scale(sigmoid(x), 3)))).slice(0, 5);

/** The device with no pipelines yet, and helpers that are counted. */
function fresh(count: number, adapter: () => Promise<GPUAdapter | null>): { device: Device; asked: () => number } {
  let asked = 0;
  const ask = () => {
    asked++;
    return adapter();
  };
  const platform = { ...device.platform, helpers: { count, adapter: ask } };
  const pipelines = new PipelineCache(device.gpu, platform);
  return { device: Object.assign(Object.create(device), { platform, pipelines }) as Device, asked: () => asked };
}

test('a pipeline is dispatched once a device, the longest shader first', async () => {
  const { device: own } = fresh(0, async () => null);
  const order = own.pipelines.unused(requests);
  assert.is(order.length, 4);
  const length = ({ shader }: PipelineRequest) => own.platform.shaderText(shader).length;
  order.forEach((r, i) => assert.ok(i === 0 || length(r) <= length(order[i - 1])));
  assert.equal(own.pipelines.unused(requests), []);
  await useFirst(own, requests);
});

for (const [who, adapter, count] of [
  ['another device', device.platform.helpers!.adapter, 1],
  ['more devices than there are pipelines', device.platform.helpers!.adapter, 9],
  ['nobody, where no adapter is to be had', async () => null, 2],
] as const) {
  test(`help of ${who}`, async () => {
    const { device: own, asked } = fresh(count, adapter);
    await useFirst(own, requests, 0);
    assert.is(asked(), Math.min(count, 3));
    own.check();
    const graph = new Graph();
    const x = graph.input('x', [1, 1, 1, 2]);
    const y = scale(x, 3);
    const plan = await Plan.compile(own, graph, { outputs: [y] });
    plan.write(x, [1, -2]);
    plan.run();
    assert.equal([...(await plan.read(y))[0]], [3, -6]);
    plan.destroy();
  });
}

test('nobody is asked while the driver finds everything', async () => {
  const { device: own, asked } = fresh(4, async () => null);
  await useFirst(own, requests, Infinity);
  assert.is(asked(), 0);
});

test.run();
