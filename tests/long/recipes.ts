/** Each of the ten trainings of the reports for two epochs on real photos, at reduced width and size: the loss falls. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { recipeNames } from '../../cli/configFile.js';
import { trimap } from '../helpers/cli.js';
import { skip } from '../helpers/skip.js';

const test = suite('recipes on real photos');

const photos = fileURLToPath(new URL('../../../../shared/data/oxford-iiit-pet', import.meta.url));
/** One for all, so that the photos are decoded once. */
const directory = mkdtempSync(join(tmpdir(), 'trimap-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

for (const recipe of recipeNames()) {
  for (const net of ['unet', 'resnet34-unet']) {
    test(`${recipe} ${net}`, async () => {
      if (!existsSync(photos)) return skip(`no photos in ${photos}`);
      const name = `${recipe}-${net}`;
      const reduced = ['--size', '64', '--base-width', '8', '--epochs', '2', '--run', name];
      const args = ['train', '--recipe', recipe, '--net', net, '--data-path', photos, ...reduced];
      const run = await trimap(directory, args);
      assert.is(run.code, 0, run.stderr);
      const history = readFileSync(join(directory, name, 'history.jsonl'), 'utf8')
        .trim()
        .split('\n');
      const [first, second] = history.map((line) => JSON.parse(line).train_loss_augmented as number);
      console.log(`    ${name}: training loss ${first} then ${second}`);
      assert.ok(second < first, `the loss went from ${first} to ${second}`);
    });
  }
}

test.run();
