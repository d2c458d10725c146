// Set-up: reading the machine's apt sources, the plan for each distribution, and that a finished set-up is silent.
// (That packages are really installed was tried by hand on Debian 12: a test must not change the machine.)

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
  options?: string;
  fields?: string[];
}

interface Mesa {
  parseOsRelease(text: string): Record<string, string>;
  parseListFile(text: string): AptSource[];
  parseSourcesFile(text: string): AptSource[];
  backportsFiles(sources: AptSource[], codename: string): { name: string; text: string }[] | undefined;
  mesaPlan(
    os: Record<string, string>,
    sources: AptSource[],
  ): { advice: string[]; apt?: { files: { name: string; text: string }[]; install: string[] } };
}

// Plain JavaScript at the root of the checkout, seen from dist/tests/cli.
const ROOT = new URL('../../../', import.meta.url);
const { parseOsRelease, parseListFile, parseSourcesFile, backportsFiles, mesaPlan } = (await import(
  new URL('cli/mesa.mjs', ROOT).href
)) as Mesa;

const KEYRING = '/usr/share/keyrings/archive.gpg';
const DEBIAN_12 = { ID: 'debian', VERSION_ID: '12', VERSION_CODENAME: 'bookworm' };

const test = suite('set-up');

test('os-release: quotes, comments and blank lines', () => {
  const os = parseOsRelease('# comment\nID=debian\n\nVERSION_ID="12"\nNAME=\'A B\'\nID_LIKE="ubuntu debian"\n');
  assert.equal(os, { ID: 'debian', VERSION_ID: '12', NAME: 'A B', ID_LIKE: 'ubuntu debian' });
});

test('.list: options, comments, disabled entries, sources, CDs and mirror lists', () => {
  const sources = parseListFile(
    [
      '# deb http://off.example/debian bookworm main',
      '#deb http://off.example/debian bookworm main',
      'deb http://one.example/debian bookworm main contrib # the mirror next door',
      `  deb [ arch=amd64,arm64 signed-by=${KEYRING} ]\thttp://two.example/debian   bookworm-updates main`,
      'deb-src http://one.example/debian bookworm main',
      'deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main',
      'deb mirror+file:/etc/apt/mirrors.txt bookworm main',
      'deb http://flat.example/packages ./',
      'nonsense',
    ].join('\n'),
  );
  assert.equal(sources, [
    { uris: ['http://one.example/debian'], suites: ['bookworm'], components: ['main', 'contrib'] },
    {
      uris: ['http://two.example/debian'],
      suites: ['bookworm-updates'],
      components: ['main'],
      options: `arch=amd64,arm64 signed-by=${KEYRING}`,
    },
    { uris: ['mirror+file:/etc/apt/mirrors.txt'], suites: ['bookworm'], components: ['main'] },
    { uris: ['http://flat.example/packages'], suites: ['./'], components: [] },
  ]);
});

test('.sources: several suites and addresses, comments in a stanza, values over several lines', () => {
  const sources = parseSourcesFile(
    [
      '# at the top',
      'Types: deb deb-src',
      '# http://snapshot.example/debian',
      'URIs: http://one.example/debian',
      '  http://two.example/debian',
      'Suites: bookworm bookworm-updates',
      'Components: main non-free-firmware',
      `Signed-By: ${KEYRING}`,
      'Check-Valid-Until: no',
      '',
      'types: deb',
      'uris: mirror+file:///etc/apt/mirrors/security.list',
      'suites: bookworm-security',
      'components: main',
      'enabled: yes',
      'signed-by:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      ' xyz=',
    ].join('\n'),
  );
  assert.equal(sources, [
    {
      uris: ['http://one.example/debian', 'http://two.example/debian'],
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main', 'non-free-firmware'],
      fields: [`Signed-By: ${KEYRING}`, 'Check-Valid-Until: no'],
    },
    {
      uris: ['mirror+file:///etc/apt/mirrors/security.list'],
      suites: ['bookworm-security'],
      components: ['main'],
      fields: ['signed-by:', ' -----BEGIN PGP PUBLIC KEY BLOCK-----', ' .', ' xyz='],
    },
  ]);
});

test('.sources: disabled stanzas, stanzas of sources only and empty files give nothing', () => {
  const stanza = (types: string, enabled: string) =>
    `Types: ${types}\nURIs: http://one.example/debian\nSuites: bookworm\nComponents: main\nEnabled: ${enabled}\n`;
  assert.equal(parseSourcesFile(''), []);
  assert.equal(parseSourcesFile('# only a comment\n\n\n'), []);
  assert.equal(parseSourcesFile(`${stanza('deb', 'no')}\n${stanza('deb-src', 'yes')}`), []);
  assert.is(parseSourcesFile(`${stanza('deb', 'no')}\n \n${stanza('deb', 'Yes')}`).length, 1);
});

test('backports: one-line entries keep their options', () => {
  const sources = parseListFile(
    [
      `deb [signed-by=${KEYRING}] http://one.example/debian bookworm main`,
      `deb [signed-by=${KEYRING}] http://one.example/debian bookworm-updates main`,
      'deb http://one.example/debian-security bookworm-security main',
    ].join('\n'),
  );
  assert.equal(backportsFiles(sources, 'bookworm'), [
    {
      name: 'bookworm-backports.list',
      text: `deb [signed-by=${KEYRING}] http://one.example/debian bookworm-backports main\n`,
    },
  ]);
});

test('backports: stanzas keep their fields', () => {
  const sources = parseSourcesFile(
    [
      'Types: deb deb-src',
      'URIs: http://one.example/debian http://two.example/debian',
      'Suites: bookworm bookworm-updates',
      'Components: main contrib',
      'Enabled: yes',
      `Signed-By: ${KEYRING}`,
    ].join('\n'),
  );
  assert.equal(backportsFiles(sources, 'bookworm'), [
    {
      name: 'bookworm-backports.sources',
      text:
        'Types: deb\nURIs: http://one.example/debian http://two.example/debian\nSuites: bookworm-backports\n' +
        `Components: main\nSigned-By: ${KEYRING}\n`,
    },
  ]);
});

test('backports: other vendors that publish under the same suite are left out', () => {
  const vendors = [
    'deb http://vendor.example/debian bookworm stable',
    'deb http://runtime.example/node bookworm main',
  ].join('\n');
  const mirror = 'deb http://one.example/debian bookworm main\ndeb http://one.example/debian bookworm-updates main';
  const chosen = backportsFiles(parseListFile(`${vendors}\n${mirror}`), 'bookworm');
  assert.is(chosen?.[0].text, 'deb http://one.example/debian bookworm-backports main\n');

  // Without an -updates entry nothing tells the two `main` addresses apart.
  const both = backportsFiles(parseListFile(`${vendors}\ndeb http://one.example/debian bookworm main`), 'bookworm');
  assert.is(
    both?.[0].text,
    'deb http://runtime.example/node bookworm-backports main\ndeb http://one.example/debian bookworm-backports main\n',
  );
});

test('backports: nothing to add where the suite is there, no address where the release is not', () => {
  const present = 'deb http://one.example/debian bookworm main\ndeb http://one.example/debian bookworm-backports main';
  assert.equal(backportsFiles(parseListFile(present), 'bookworm'), []);
  assert.is(backportsFiles(parseListFile('deb http://one.example/debian trixie main'), 'bookworm'), undefined);
  assert.is(backportsFiles([], 'bookworm'), undefined);
});

test('plan: Debian 12 installs from backports, and its advice shows the source to add', () => {
  const sources = parseListFile('deb http://one.example/debian bookworm main');
  const { apt, advice } = mesaPlan(DEBIAN_12, sources);
  assert.equal(apt?.install, ['-t', 'bookworm-backports', 'mesa-vulkan-drivers']);
  assert.is(apt?.files.length, 1);
  assert.ok(advice.includes('  deb http://one.example/debian bookworm-backports main'), advice.join('\n'));
  assert.ok(advice.includes('  sudo apt-get install -t bookworm-backports mesa-vulkan-drivers'), advice.join('\n'));

  const unknown = mesaPlan(DEBIAN_12, []);
  assert.is(unknown.apt, undefined);
  assert.match(unknown.advice.join('\n'), 'no entry for bookworm');
});

const PLANS: [name: string, os: Record<string, string>, isAutomatic: boolean, advice: RegExp][] = [
  ['Debian 13', { ID: 'debian', VERSION_ID: '13' }, true, /apt-get install mesa-vulkan-drivers/],
  ['Debian unstable', { ID: 'debian' }, true, /apt-get install mesa-vulkan-drivers/],
  ['Debian 11', { ID: 'debian', VERSION_ID: '11' }, false, /upgrade to Debian 12/],
  ['Ubuntu 24.04', { ID: 'ubuntu', VERSION_ID: '24.04', ID_LIKE: 'debian' }, true, /apt-get install mesa/],
  ['Ubuntu 25.10', { ID: 'ubuntu', VERSION_ID: '25.10', ID_LIKE: 'debian' }, true, /apt-get install mesa/],
  ['Ubuntu 22.04', { ID: 'ubuntu', VERSION_ID: '22.04', ID_LIKE: 'debian' }, false, /Upgrade to Ubuntu 24\.04/],
  ['Mint', { ID: 'linuxmint', VERSION_ID: '22', ID_LIKE: 'ubuntu debian' }, false, /apt-cache policy/],
  ['Fedora', { ID: 'fedora', VERSION_ID: '42' }, false, /dnf install mesa-vulkan-drivers/],
  ['Rocky', { ID: 'rocky', VERSION_ID: '9.4', ID_LIKE: 'rhel centos fedora' }, false, /dnf install/],
  ['Arch', { ID: 'arch' }, false, /pacman -S vulkan-swrast/],
  ['Manjaro', { ID: 'manjaro', ID_LIKE: 'arch' }, false, /pacman -S vulkan-swrast/],
  ['an unknown one', {}, false, /with your package manager/],
];
for (const [name, os, isAutomatic, advice] of PLANS) {
  test(`plan: ${name}`, () => {
    const plan = mesaPlan(os, []);
    assert.equal(plan.apt, isAutomatic ? { files: [], install: ['mesa-vulkan-drivers'] } : undefined);
    assert.match(plan.advice.join('\n'), advice);
  });
}

test('a finished set-up prints nothing and exits with 0', () => {
  const script = fileURLToPath(new URL('cli/setup.mjs', ROOT));
  const run = () => spawnSync(process.execPath, [script], { encoding: 'utf8' });
  run(); // does what there is to do, where the tests were started without set-up
  const { status, stdout, stderr } = run();
  assert.equal({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});

test.run();
