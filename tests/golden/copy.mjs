// Copies from a whole golden directory what the tests use: node tests/golden/copy.mjs DIRECTORY
// Every op and optimizer case but the largest, the two default networks, the full-width ResNet34-UNet, and the image cases
// of the forms that are offered.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

const [source] = process.argv.slice(2);
if (!source) throw new Error('usage: node tests/golden/copy.mjs DIRECTORY');
const here = new URL('./', import.meta.url);
const index = JSON.parse(readFileSync(`${source}/index.json`, 'utf8'));
const offered =
  /^image-(resized?(-crop)?-pil|[hv]flip|shift-scale|clahe|channel|tone|normalize|trimap|(?!resize).*-float)/;
const wanted = ({ kind, name, bytes }) =>
  ((kind === 'op' || kind === 'optimizer') && bytes < 200_000) ||
  ['net-unet-skipfirst-bce-dice', 'net-resunet-wide-bce-dice', 'full-resunet-wide-bce-dice'].includes(name) ||
  offered.test(name);
const cases = index.cases.filter(wanted);
for (const { file } of cases) copyFileSync(`${source}/${file}`, new URL(file, here));
writeFileSync(new URL('index.json', here), `${JSON.stringify({ rules: index.rules, cases })}\n`);
console.log(`${cases.length} cases, ${cases.reduce((sum, { bytes }) => sum + bytes, 0)} bytes`);
