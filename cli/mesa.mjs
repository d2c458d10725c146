/**
 * How to get a software WebGPU adapter on Linux: which packages bring a Mesa that Dawn accepts, by distribution.
 *
 * Dawn needs Mesa 24.2 or newer (22.3 is refused: "shaderUniform*ArrayDynamicIndexing required"). Debian 13 and Ubuntu
 * 24.04 have it in their ordinary package; Debian 12 has it in its backports suite only, whose address is read from the
 * machine's own apt sources: mirrors and proxies differ from machine to machine, and the machine's owner chose them.
 *
 * Pure functions of texts: nothing here reads a file or runs a command (`setup.mjs` does both).
 */

const PACKAGE = 'mesa-vulkan-drivers';

/**
 * Parses os-release(5).
 * @param {string} text contents of /etc/os-release
 * @returns {Record<string, string>} keys as written (ID, VERSION_ID, VERSION_CODENAME, ID_LIKE, PRETTY_NAME, ...)
 */
export function parseOsRelease(text) {
  const fields = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
    if (match) fields[match[1]] = match[2].replace(/^(["'])(.*)\1$/, '$2');
  }
  return fields;
}

/**
 * @typedef {object} AptSource One enabled `deb` entry, in the terms of sources.list(5).
 * @property {string[]} uris
 * @property {string[]} suites
 * @property {string[]} components
 * @property {string} [options] one-line form only: the text between the brackets (`arch=amd64 signed-by=/usr/...`)
 * @property {string[]} [fields] deb822 form only: all lines but Types, URIs, Suites, Components and Enabled, as written
 */

/**
 * Parses a file in the one-line form: `deb [options] uri suite component...`. Disabled entries (commented out), sources
 * (`deb-src`) and CDs are left out.
 * @param {string} text contents of a .list file
 * @returns {AptSource[]}
 */
export function parseListFile(text) {
  const sources = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)/.exec(line);
    if (!match || match[2].startsWith('cdrom:')) continue;
    const [, options, uri, suite, components] = match;
    sources.push({
      uris: [uri],
      suites: [suite],
      components: words(components),
      ...(options === undefined ? {} : { options: options.trim() }),
    });
  }
  return sources;
}

/**
 * Parses a file in the deb822 form: stanzas of `Field: value`, where a value goes on over indented lines and a line
 * that begins with # is a comment even inside a stanza. Stanzas with `Enabled: no` and those without `deb` are left
 * out.
 * @param {string} text contents of a .sources file
 * @returns {AptSource[]}
 */
export function parseSourcesFile(text) {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  const sources = [];
  for (const stanza of lines.join('\n').split(/\n(?:[ \t]*\n)+/)) {
    const values = new Map();
    const fields = [];
    let field = '';
    for (const line of stanza.split('\n')) {
      const match = /^([A-Za-z0-9-]+):(.*)$/.exec(line);
      if (match) field = match[1].toLowerCase();
      const isContinuation = /^[ \t]/.test(line) && field !== '';
      if (!match && !isContinuation) continue;
      values.set(field, `${values.get(field) ?? ''} ${match ? match[2] : line}`);
      if (!['types', 'uris', 'suites', 'components', 'enabled'].includes(field)) fields.push(line);
    }
    const list = (name) => words(values.get(name) ?? '');
    const enabled = !['no', 'false', 'without', 'off', 'disable', '0'].includes(list('enabled')[0]?.toLowerCase());
    if (!enabled || !list('types').includes('deb')) continue;
    const uris = list('uris').filter((uri) => !uri.startsWith('cdrom:'));
    if (uris.length > 0) sources.push({ uris, suites: list('suites'), components: list('components'), fields });
  }
  return sources;
}

/**
 * The apt source of a release's backports suite, made from the entries through which the machine gets the release
 * itself: same address, same options and keys, other suite.
 * @param {AptSource[]} sources all entries of the machine
 * @param {string} codename for example 'bookworm'
 * @returns {{name: string, text: string}[] | undefined} files to put beside the machine's own (none where the suite is
 *   already among the entries); undefined when no entry serves the release, so that the address is not known
 */
export function backportsFiles(sources, codename) {
  const backports = `${codename}-backports`;
  const serves = (source, suite) => source.suites.includes(suite) && source.components.includes('main');
  if (sources.some((source) => serves(source, backports))) return [];

  // Other vendors also publish under "bookworm main", but without backports. Where an address is known to carry the
  // release's -updates suite it is a Debian mirror; only where none is (a minimal sources.list) are all of them tried.
  const withUpdates = new Set(
    sources.filter((source) => serves(source, `${codename}-updates`)).flatMap((source) => source.uris),
  );
  const release = sources.filter((source) => serves(source, codename));
  const mirrors = release.filter((source) => source.uris.some((uri) => withUpdates.has(uri)));
  const chosen = mirrors.length > 0 ? mirrors : release;
  if (chosen.length === 0) return undefined;

  const oneLine = chosen.filter((source) => source.fields === undefined);
  const deb822 = chosen.filter((source) => source.fields !== undefined);
  const files = [];
  if (oneLine.length > 0) {
    const lines = oneLine.map(({ uris, options }) => {
      return `deb ${options ? `[${options}] ` : ''}${uris[0]} ${backports} main\n`;
    });
    files.push({ name: `${backports}.list`, text: [...new Set(lines)].join('') });
  }
  if (deb822.length > 0) {
    const stanzas = deb822.map(({ uris, fields }) => {
      const head = ['Types: deb', `URIs: ${uris.join(' ')}`, `Suites: ${backports}`, 'Components: main'];
      return [...head, ...fields].join('\n') + '\n';
    });
    files.push({ name: `${backports}.sources`, text: [...new Set(stanzas)].join('\n') });
  }
  return files;
}

/**
 * @typedef {object} MesaPlan
 * @property {string[]} advice what a person can do, one line each: a sentence ending in a colon, commands indented
 * @property {object} [apt] present when set-up may do it itself through apt
 * @property {{name: string, text: string}[]} apt.files extra apt sources, needed during the installation only
 * @property {string[]} apt.install arguments of `apt-get install`
 */

/**
 * Decides how this distribution gets a Mesa that Dawn accepts.
 * @param {Record<string, string>} os parsed os-release
 * @param {AptSource[]} sources the machine's apt entries (empty without apt)
 * @returns {MesaPlan}
 */
export function mesaPlan(os, sources) {
  const version = Number(os.VERSION_ID ?? Infinity); // Debian testing and unstable carry no version
  const likes = [os.ID, ...words(os.ID_LIKE ?? '')];

  if (os.ID === 'debian' && version === 12) return debian12Plan(sources);
  if ((os.ID === 'debian' && version >= 13) || (os.ID === 'ubuntu' && version >= 24.04)) {
    return {
      advice: ['Install the Mesa Vulkan drivers:', '  sudo apt-get update', `  sudo apt-get install ${PACKAGE}`],
      apt: { files: [], install: [PACKAGE] },
    };
  }
  if (os.ID === 'ubuntu') {
    return {
      advice: [
        `Ubuntu ${os.VERSION_ID}'s own Mesa is older than the 24.2 that WebGPU needs.`,
        'Upgrade to Ubuntu 24.04 or newer, or take a newer Mesa from a PPA that you trust, for example:',
        '  sudo add-apt-repository ppa:kisak/kisak-mesa',
        '  sudo apt-get update',
        `  sudo apt-get install ${PACKAGE}`,
      ],
    };
  }
  if (os.ID === 'debian') {
    return { advice: [`Debian ${os.VERSION_ID} has no Mesa that is new enough: upgrade to Debian 12 or newer.`] };
  }
  if (likes.includes('fedora')) {
    return { advice: ['Install the Mesa Vulkan drivers (24.2 or newer):', `  sudo dnf install ${PACKAGE}`] };
  }
  if (likes.includes('arch')) {
    return { advice: ["Install Mesa's software Vulkan driver:", '  sudo pacman -S vulkan-swrast'] };
  }
  if (likes.includes('debian')) {
    return {
      advice: [
        'Install the Mesa Vulkan drivers, version 24.2 or newer (`apt-cache policy` shows which one there is):',
        `  apt-cache policy ${PACKAGE}`,
        `  sudo apt-get install ${PACKAGE}`,
      ],
    };
  }
  return {
    advice: [
      `Install Mesa's Vulkan drivers (24.2 or newer) with your package manager; the package is called ${PACKAGE},`,
      'vulkan-swrast or vulkan-lavapipe in most distributions.',
    ],
  };
}

/** Debian 12: its own Mesa is too old, the backports suite has a newer one. */
function debian12Plan(sources) {
  const install = ['-t', 'bookworm-backports', PACKAGE];
  const files = backportsFiles(sources, 'bookworm');
  const commands = ['  sudo apt-get update', `  sudo apt-get install ${install.join(' ')}`];
  if (files === undefined) {
    return {
      advice: [
        "Debian 12's own Mesa is too old, and no entry for bookworm was found in this machine's apt sources.",
        'Add the suite bookworm-backports (component main) of your Debian mirror to /etc/apt/sources.list.d, then run:',
        ...commands,
      ],
    };
  }
  const steps = files.flatMap(({ name, text }) => [
    `Write into /etc/apt/sources.list.d/${name}:`,
    ...text
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
  ]);
  const why = "Debian 12's own Mesa is too old; the backports suite has a newer one.";
  return { advice: [why, ...steps, 'To install it, run:', ...commands], apt: { files, install } };
}

function words(text) {
  return text.split(/\s+/).filter((word) => word !== '');
}
