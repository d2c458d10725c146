/** `trimap info`: what a report about a machine needs, or what a network is made of. */
import { createRequire } from 'node:module';
import type { Device } from '../engine/device.js';
import { leastSize, type NetworkName, networks } from '../nets/networks.js';
import { UsageError } from './errors.js';
import { Progress } from './progress.js';

const require = createRequire(import.meta.url);

const versionOf = (packageJson: string): string => (require(packageJson) as { version: string }).version;

export function versions(): Record<string, string> {
  return {
    trimap: versionOf('../../package.json'),
    node: process.versions.node,
    webgpu: versionOf('webgpu/package.json'),
    platform: `${process.platform} ${process.arch}`,
  };
}

/** Limits that decide how large a job may be and which kernels run. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
  'minStorageBufferOffsetAlignment',
] as const;

function describe(device: Device) {
  const { vendor, architecture, device: name, description } = device.adapter.info;
  return {
    description: device.description,
    adapter: { vendor, architecture, device: name, description },
    engine: device.traits,
    features: [...device.adapter.features].sort(),
    limits: Object.fromEntries(LIMITS.map((limit) => [limit, device.gpu.limits[limit]])),
    versions: versions(),
  };
}

export interface InfoFlags {
  /** Shown instead of the machine, with the three settings that follow. */
  net?: NetworkName;
  baseWidth?: number;
  size?: number;
  classes?: number;
  adapter?: string;
  json: boolean;
}

export function info(flags: InfoFlags): Promise<number> {
  return flags.net === undefined ? showMachine(flags) : showNetwork(flags.net, flags);
}

/** Layers, shapes, parameters and multiply-adds; no adapter is needed for that. */
async function showNetwork(net: NetworkName, { baseWidth: width, size, classes, json }: InfoFlags): Promise<number> {
  const least = leastSize(networks[net]);
  if (size !== undefined && size < least) {
    throw new UsageError(`--size ${size}: ${net} needs images of ${least} or more`);
  }
  const { describeNetwork, networkTable } = await import('../nets/describe.js');
  const described = describeNetwork(net, { width, size, classes });
  console.log(json ? JSON.stringify(described, null, 2) : networkTable(described));
  return 0;
}

async function showMachine({ baseWidth, size, classes, adapter, json }: InfoFlags): Promise<number> {
  const given = Object.entries({ '--base-width': baseWidth, '--size': size, '--classes': classes });
  const stray = given.find(([, value]) => value !== undefined);
  if (stray) throw new UsageError(`${stray[0]} is of a network; give --net, too`);
  const progress = Progress.of({ json });
  progress.line('looking for a WebGPU adapter ...');
  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter });
  try {
    const found = describe(device);
    if (json) {
      console.log(JSON.stringify(found, null, 2));
      return 0;
    }
    const section = (title: string, values: object) => {
      progress.line(`\n${title}`);
      for (const [name, value] of Object.entries(values)) progress.line(`  ${name.padEnd(34)}${value}`);
    };
    progress.line(found.description);
    section('adapter', found.adapter);
    section('engine', found.engine);
    section('limits', found.limits);
    progress.line(`\nfeatures\n  ${found.features.join(', ')}`);
    section('versions', found.versions);
    return 0;
  } finally {
    device.close();
  }
}
