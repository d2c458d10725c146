// What `info --net` and `augment` make of their flags.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { drawSample } from '../../data/sample.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('cli/info');

test('a network: a table or JSON, without an adapter', () =>
  inDirectory(async (directory) => {
    const info = ['info', '--net', 'unet-bilinear', '--base_width', '4', '--size', '33', '--adapter', 'none'];
    const { code, stdout, stderr } = await trimap(directory, info);
    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /^unet-bilinear, base width 4, 2 classes, one image of 33x33$/m);
    assert.match(stdout, /^layer +op +output +parameters +multiply-adds$/m);
    const described = JSON.parse((await trimap(directory, [...info, '--classes', '1', '--json'])).stdout);
    assert.equal([described.net, described.width, described.size, described.classes], ['unet-bilinear', 4, 33, 1]);
    assert.equal(described.layers[described.layers.length - 1].output, [1, 1, 33, 33]);
    for (const [args, message] of [
      [['info', '--size', '64'], '--size is of a network; give --net, too'],
      [['info', '--net', 'resnet34-unet', '--size', '31'], '--size 31: resnet34-unet needs images of 32 or more'],
      [['info', '--net', 'resnet'], 'It is one of unet, '],
    ] as const) {
      const refused = await trimap(directory, args);
      assert.is(refused.code, 2);
      assert.match(refused.stderr, message);
    }
  }));

test('a contact sheet of a recipe', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'photos'), { count: 12, minSize: 32, maxSize: 48, seed: 3 });
    const augment = ['augment', '--data-path', 'photos', '--size', '32', '--n', '2'];
    const { code, stdout, stderr } = await trimap(directory, [...augment, '--recipe', 'report4', '--output', 'a.png']);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^augmentation: .*clahe \(p 0\.5\)/);
    assert.match(stdout, 'wrote a.png: 2 photos with 5 draws each');
    const { height, width } = PNG.sync.read(readFileSync(join(directory, 'a.png')));
    assert.equal([height, width], [2 * 32 + 4, 6 * 32 + 5 * 4]);
    const refused = await trimap(directory, [...augment, '--recipe', 'report9']);
    assert.is(refused.code, 2);
    assert.match(refused.stderr, '--recipe report9');
  }));

test.run();
