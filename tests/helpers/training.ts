/** A small net trained for a few steps on pictures made here, for the tests of both steps. */
import { augmentationFloats, identityAugmentation } from '../../data/augment.js';
import { Random } from '../../engine/random.js';
import { Variables } from '../../engine/variables.js';
import { type StepResult, type TrainingSettings, TrainingStep } from '../../nets/trainingStep.js';
import { testDevice } from './device.js';

const device = await testDevice();

export const SIZE = 16;
export const settings: TrainingSettings = {
  net: 'unet',
  baseWidth: 2,
  size: SIZE,
  loss: 'bce-dice',
  seed: 3,
  initialisation: 'pytorch',
  batch: 2,
  optimizer: { kind: 'sgd' },
  clipNorm: 1,
};

/** Noise with a bright rectangle and its mask. */
export function photos(batch: number, size = SIZE): Uint8Array<ArrayBuffer> {
  const random = new Random('photos');
  const pixels = new Uint8Array(batch * size * size * 4);
  const unit = size / 16;
  for (let i = 0; i < pixels.length; i += 4) {
    const p = (i / 4) % (size * size);
    const inside = p % size > 4 * unit && p % size < 11 * unit && p > 5 * unit * size;
    for (let c = 0; c < 3; c++) pixels[i + c] = random.integer(120) + (inside ? 100 : 0);
    pixels[i + 3] = inside ? 1 : 0;
  }
  return pixels;
}

/** Augmentation parameters that change nothing. */
export const plain = (batch: number) =>
  Float32Array.from({ length: batch * augmentationFloats }, (_, i) => identityAugmentation()[i % augmentationFloats]);

interface Trained {
  results: StepResult[];
  parameters: Map<string, Float32Array>;
  variables: Variables;
  step: TrainingStep;
  /** Frees step and variables. */
  end: () => void;
}

/** @param changes to `settings` */
export async function train(changes: Partial<TrainingSettings>, pixels: Uint8Array, steps: number): Promise<Trained> {
  const all = { ...settings, ...changes };
  const variables = new Variables(device);
  const step = await TrainingStep.compile(device, variables, all);
  const results = [];
  for (let i = 1; i <= steps; i++) {
    step.run(pixels, plain(all.batch), 0.1, i);
    results.push(await step.result());
  }
  const end = () => {
    step.destroy();
    variables.destroy();
  };
  return { results, parameters: await variables.read('parameters'), variables, step, end };
}
