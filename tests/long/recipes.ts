/** Each of the ten trainings of the reports for two epochs on real photos, at reduced width and size: the loss falls. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { recipeNames } from '../../cli/settings.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';
import { skip } from '../helpers/skip.js';

const test = suite('recipes on real photos');

const photos = fileURLToPath(new URL('../../../../shared/data/oxford-iiit-pet', import.meta.url));

for (const recipe of recipeNames()) {
  for (const net of ['unet', 'resnet34-unet']) {
    test(`${recipe} ${net}`, () => {
      if (!existsSync(photos)) return skip(`no photos in ${photos}`);
      return inDirectory(async (directory) => {
        const reduced = ['--size', '64', '--base-width', '8', '--epochs', '2', '--run', 'run'];
        const run = await trimap(directory, [
          'train',
          '--recipe',
          recipe,
          '--net',
          net,
          '--data-path',
          photos,
          ...reduced,
        ]);
        assert.is(run.code, 0, run.stderr);
        const history = readFileSync(join(directory, 'run', 'history.jsonl'), 'utf8')
          .trim()
          .split('\n');
        const [first, second] = history.map((line) => JSON.parse(line).train_loss as number);
        console.log(`    ${recipe} ${net}: training loss ${first} then ${second}`);
        assert.ok(second < first, `the loss went from ${first} to ${second}`);
      });
    });
  }
}

test.run();
