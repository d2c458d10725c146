/** The golden directory's words for a network's structure, in our settings. */
import type { NetworkSettings } from '../../nets/networks.js';
import type { ResNetUNetSettings } from '../../nets/resnetUNet.js';

type Structure = Record<string, unknown>;

/** Picks by a value of the structure; a value that nobody knows is an error, not a default. */
function pick<T>(structure: Structure, key: string, choices: readonly (readonly [unknown, T])[]): T {
  const value = structure[key];
  const found = choices.find(([name]) => name === value);
  if (!found)
    throw new Error(
      `structure.${key} is ${JSON.stringify(value)}; known are ${JSON.stringify(choices.map(([n]) => n))}`,
    );
  return found[1];
}

const ORDER = [
  ['skip,up', 'skip,up'],
  ['up,skip', 'up,skip'],
  [undefined, 'up,skip'],
] as const;

const DECODERS: readonly (readonly [string, ResNetUNetSettings['decoder']])[] = [
  ['wide', [8, 4, 2, 1].map((out) => ({ up: out, out }))],
  ['halving', [8, 4, 2, 1].map((out) => ({ up: out, out }))],
  ['flat', [4, 2, 1, 1].map((out) => ({ up: out, out }))],
  ['bilinear', [4, 2, 1, 0.5].map((out) => ({ up: 0, out }))],
];

/** @throws Error when the structure says something that our networks do not know */
export function settingsOf(structure: Structure, dropout: number): NetworkSettings {
  const known = [
    ['family', 'up', 'half', 'bias', 'cat', 'fits', 'classes', 'dropout'],
    ['stem', 'pool', 'act', 'bridge', 'decoder', 'tail', 'tail_bias', 'project1'],
  ].flat();
  const unknown = Object.keys(structure).filter((key) => !known.includes(key));
  if (unknown.length > 0) throw new Error(`structure.${unknown.join(', ')} is not known`);
  const shared = {
    order: pick(structure, 'cat', ORDER),
    convBias: structure.bias === true,
    dropout: structure.dropout === true ? dropout : 0,
  };
  if (structure.family === 'unet') {
    return {
      family: 'unet',
      up: pick(structure, 'up', [
        ['convt', 'transposed'],
        ['bilinear', 'bilinear'],
      ] as const),
      halvedBottom: structure.half === true,
      ...shared,
    };
  }
  if (structure.family !== 'resunet') throw new Error(`structure.family is ${JSON.stringify(structure.family)}`);
  const bridge = pick(structure, 'bridge', [
    [undefined, 'none'],
    ['double', 'double'],
    ['residual', 'residual'],
  ] as const);
  return {
    family: 'resunet',
    stem: pick(structure, 'stem', [
      [undefined, 'conv7'],
      ['double3', 'double'],
    ] as const),
    pool: pick(structure, 'pool', [
      [undefined, '3x3'],
      ['2s2', '2x2'],
      [null, 'none'],
    ] as const),
    activation: pick(structure, 'act', [
      [undefined, 'after'],
      ['after', 'after'],
      ['before', 'before'],
    ] as const),
    projectFirst: structure.project1 === true,
    bridge,
    decoder: pick(structure, 'decoder', DECODERS),
    deepestSkip: bridge === 'residual' ? 4 : 3,
    tail: pick(structure, 'tail', [
      ['up', 'up'],
      ['up2', 'upNormTwice'],
      ['resize', 'resize'],
      ['bn', 'norm'],
    ] as const),
    tailBias: structure.tail_bias !== false,
    ...shared,
  };
}
