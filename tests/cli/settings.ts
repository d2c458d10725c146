// What defaults, recipes, files and flags come to, and what is refused.
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freshState } from '../../cli/checkpoint.js';
import { loadConfig, recipeNames } from '../../cli/configFile.js';
import { trainingSettings } from '../../cli/settings.js';
import { resolveSettings, resumeSettings } from '../../cli/trainFlags.js';
import type { NetworkName } from '../../nets/networks.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('settings');

const messageOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return 'no error';
};

const withFile = (settings: unknown, use: (config: string) => void) =>
  inDirectory((directory) => {
    const config = join(directory, 'settings.json');
    writeFileSync(config, JSON.stringify(settings));
    use(config);
  });

test('each recipe names its own variant of both nets, and can be given back resolved', async () => {
  const variants: Record<string, [NetworkName, NetworkName]> = {
    report0: ['unet-bilinear', 'resnet34-unet-bilinear'],
    report1: ['unet-milesial', 'resnet34-unet-flatstem'],
    report2: ['unet-dropout', 'resnet34-unet-bridge-dropout'],
    report3: ['unet', 'resnet34-unet'],
    report4: ['unet-upfirst', 'resnet34-unet-bridge'],
  };
  assert.equal(recipeNames(), Object.keys(variants));
  for (const [recipe, [unet, resnet]] of Object.entries(variants)) {
    for (const [net, variant] of [
      ['unet', unet],
      ['resnet34-unet', resnet],
    ] as const) {
      const settings = resolveSettings({ recipe, net, dataPath: 'photos' });
      assert.is(settings.net, variant);
      await withFile(settings, (config) => assert.equal(resolveSettings({ config }), settings));
    }
  }
});

test('recipes differ where the reports do', () => {
  const settings = (recipe: string, net: NetworkName) => resolveSettings({ recipe, net, dataPath: 'photos' });
  assert.is(settings('report0', 'unet').learningRate, 6e-4);
  assert.is(settings('report0', 'resnet34-unet').learningRate, 1e-3);
  assert.is(settings('report0', 'unet').classes, 2);
  assert.equal(settings('report1', 'unet').optimizer.kind, 'radam');
  assert.is(settings('report2', 'unet').initialisation, 'he');
  assert.is(settings('report3', 'unet').clipNorm, 1);
  assert.equal(settings('report4', 'unet').schedule, { kind: 'exponential', unit: 'epoch', gamma: 0.99 });
});

test('flags override the recipe; another loss brings its own number of classes', () => {
  const flags = {
    recipe: 'report0',
    dataPath: 'photos',
    batchSize: 3,
    epochs: 1,
    loss: 'bce',
    schedule: 'cosine',
  } as const;
  const settings = resolveSettings({ ...flags, net: 'unet-upfirst' });
  assert.is(settings.net, 'unet-upfirst');
  assert.equal([settings.batchSize, settings.epochs, settings.classes, settings.schedule.kind], [3, 1, 1, 'cosine']);
  assert.is(resolveSettings({ recipe: 'report3', dataPath: 'photos', clipNorm: 0 }).clipNorm, null);
});

test('what cannot work is one line that names the key or flag', async () => {
  const wrong: [settings: unknown, message: RegExp][] = [
    [{ losss: 'bce' }, /SettingsError: .*losss is not a setting; did you mean loss\?/],
    [{ loss: 'bcee' }, /loss\.name: "bcee" is no loss; known are/],
    [{ loss: { name: 'bce-dice', dice: { per: 'pixel' } } }, /loss\.dice\.per: "pixel" is not one of image, batch/],
    [{ classes: 2, loss: 'bce' }, /classes: 2, but the loss bce needs 1/],
    [{ optimizer: { kind: 'lion' } }, /optimizer\.kind: "lion" is no optimizer/],
    [{ optimizer: { kind: 'adam', momentum: 0.9 } }, /optimizer\.momentum: unknown key/],
    [{ schedule: { kind: 'exponential' } }, /schedule\.gamma: missing/],
    [{ augmentation: { horizontalFlip: { p: 2 } } }, /augmentation\.horizontalFlip\.p: 2 is not/],
    [{ baseWidth: 7 }, /baseWidth: 7 is not an even number/],
    [{ normalisation: { mean: [1, 2], std: [1, 1, 1] } }, /normalisation\.mean: \[1,2\] is not three numbers/],
    [{ networks: { unet: { epoch: 3 } } }, /networks\.unet: epoch is not a setting; did you mean epochs\?/],
    [[], /is not an object/],
  ];
  for (const [settings, message] of wrong) {
    await withFile(settings, (config) =>
      assert.match(
        messageOf(() => resolveSettings({ config })),
        message,
      ),
    );
  }
  assert.match(
    messageOf(() => loadConfig({ recipe: 'report7' })),
    /UsageError: --recipe report7: .*report0, report1/,
  );
  assert.match(
    messageOf(() => loadConfig({ config: 'nowhere.json' })),
    /UsageError: --config nowhere\.json does not exist/,
  );
  assert.match(
    messageOf(() => loadConfig({ recipe: 'a', config: 'b' })),
    /not both/,
  );
  const small = { recipe: 'report0', net: 'resnet34-unet', size: 16, dataPath: 'photos' } as const;
  assert.match(
    messageOf(() => resolveSettings(small)),
    /--size 16: resnet34-unet-bilinear needs images of 32 or more/,
  );
  assert.match(
    messageOf(() => resolveSettings({ batchSize: 8, microBatches: 3 })),
    /--micro-batches 3 does not divide/,
  );
});

test('--checkpoint-activations reaches the training step', () => {
  const plain = resolveSettings({ dataPath: 'photos' });
  const less = resolveSettings({ dataPath: 'photos', checkpointActivations: true });
  assert.is(trainingSettings(plain, 1).checkpointActivations, false);
  assert.is(trainingSettings(less, 1).checkpointActivations, true);
});

test('a resumed run keeps its settings; epochs are raised at most, and what is finished is said', () => {
  const settings = resolveSettings({ recipe: 'report3', dataPath: 'photos', earlyStopping: 2 });
  const after = (epoch: number, bad = 0) => ({
    settings,
    state: { ...freshState(), epoch, earlyStopping: { best: 0.5, bad } },
  });
  assert.equal(resumeSettings('runs/a', after(3), false, {}), settings);
  assert.equal(resumeSettings('runs/a', after(3), false, { epochs: 40 }), { ...settings, epochs: 40 });
  assert.equal(resumeSettings('runs/a', after(30), true, { epochs: 40 }), { ...settings, epochs: 40 });
  // The epochs are over, but the best weights are not measured.
  assert.equal(resumeSettings('runs/a', after(30), false, {}), settings);
  assert.equal(resumeSettings('runs/a', after(12, 2), false, {}), settings);
  assert.is(resumeSettings('runs/a', after(3), false, { dataPath: 'moved' }).dataPath, resolve('moved'));
  const refused = (state: ReturnType<typeof after>, finished: boolean, epochs?: number) =>
    messageOf(() => resumeSettings('runs/a', state, finished, { epochs }));
  assert.match(refused(after(3), false, 10), /--epochs 10: runs\/a was started with 30; the number can only be raised/);
  assert.match(refused(after(30), true), /has finished its 30 epochs; give more with --epochs/);
  assert.match(refused(after(12, 2), true, 60), /has stopped early, after 12 epochs.*--model/);
});

test.run();
