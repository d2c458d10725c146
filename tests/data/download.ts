import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { downloadArchives, oxfordPetArchives, type Archive, type DownloadOptions } from '../../data/download.js';
import { tarGz } from '../helpers/archive.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/download');

/** Noise, which gzip cannot shorten: about 200 kB. */
const noise = Buffer.from(Uint32Array.from({ length: 50_000 }, (_, i) => Math.imul(i + 1, 2654435761)).buffer);
const bytes = tarGz([
  { name: './images/', type: '5' },
  { name: './images/a.jpg', content: noise },
  { name: './images/b.jpg', content: 'b' },
]);
const md5 = createHash('md5').update(bytes).digest('hex');
const archive: Archive = { name: 'images.tar.gz', md5, folder: 'images' };

type Answer = (response: ServerResponse, from: number | undefined, request: IncomingMessage) => void;

/** Serves request i with answers[i], and all after the last with the last. `from` is the start of the asked range. */
async function withServer<T>(answers: Answer[], body: (url: string, ranges: (number | undefined)[]) => Promise<T>) {
  const ranges: (number | undefined)[] = [];
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const from = range ? Number(range[1]) : undefined;
    ranges.push(from);
    answers[Math.min(ranges.length, answers.length) - 1](response, from, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}/pets`, ranges);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** As a good server does. */
const serve =
  (content: Uint8Array): Answer =>
  (response, from) => {
    if (from === undefined) {
      response.writeHead(200, { 'content-length': content.length }).end(content);
    } else if (from >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    } else {
      const range = `bytes ${from}-${content.length - 1}/${content.length}`;
      response
        .writeHead(206, { 'content-range': range, 'content-length': content.length - from })
        .end(content.subarray(from));
    }
  };

/** Sends `count` bytes from where it is asked to, says that all will come, and hangs up. */
const drop =
  (count: number): Answer =>
  (response, from = 0) => {
    const head = { 'content-length': bytes.length - from };
    if (from > 0)
      response.writeHead(206, { ...head, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
    else response.writeHead(200, head);
    response.write(bytes.subarray(from, from + count), () => response.destroy());
  };

const download = (url: string, output: string, options: Partial<DownloadOptions> = {}) =>
  downloadArchives([archive], { url, output, retryMs: 1, ...options });

function assertComplete(output: string): void {
  assert.equal(readdirSync(output).sort(), ['images', 'images.tar.gz']);
  assert.ok(readFileSync(join(output, 'images', 'a.jpg')).equals(noise));
  assert.is(readFileSync(join(output, 'images', 'b.jpg'), 'utf8'), 'b');
}

test('an archive is fetched, checked and unpacked, and not again', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      const progress: [string, number, number | undefined][] = [];
      await download(url, output, { onProgress: (...step) => progress.push(step) });
      assertComplete(output);
      assert.equal(progress.filter(([title]) => title === 'images.tar.gz').at(-1), [
        'images.tar.gz',
        bytes.length,
        bytes.length,
      ]);
      const lines: string[] = [];
      await download(url, output, { onLine: (line) => lines.push(line) });
      assert.match(lines.join('\n'), 'is there already');
      assert.equal(ranges, [undefined]);
    }),
  ));

test('the path is below the address with and without a slash', () =>
  inDirectory((output) => {
    const paths: string[] = [];
    const answer: Answer = (response, from, request) => {
      paths.push(request.url!);
      serve(bytes)(response, from, request);
    };
    return withServer([answer], async (url) => {
      await download(url, join(output, '1'));
      await download(`${url}/`, join(output, '2'));
      assert.equal(paths, ['/pets/images.tar.gz', '/pets/images.tar.gz']);
    });
  }));

test('a lost connection is taken up where it broke', () =>
  inDirectory((output) =>
    withServer([drop(1000), drop(5000), serve(bytes)], async (url, ranges) => {
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [undefined, 1000, 6000]);
    }),
  ));

test('a later run goes on from what an earlier one left', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      writeFileSync(join(output, 'images.tar.gz.partial'), bytes.subarray(0, 777));
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [777]);
    }),
  ));

test('a whole archive under the partial name needs no request', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      writeFileSync(join(output, 'images.tar.gz.partial'), bytes);
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, []);
    }),
  ));

test('a server that knows no ranges is read from the start', () =>
  inDirectory((output) => {
    const whole: Answer = (response) => response.writeHead(200).end(bytes);
    return withServer([drop(1000), whole], async (url, ranges) => {
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [undefined, 1000]);
    });
  }));

test('a server that sends another range than asked is read from the start', () =>
  inDirectory((output) => {
    const shifted: Answer = (response) =>
      response
        .writeHead(206, { 'content-range': `bytes 500-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(500));
    return withServer([drop(1000), shifted, serve(bytes)], async (url, ranges) => {
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [undefined, 1000, undefined]);
    });
  }));

test('what an earlier run left of another file is dropped', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      writeFileSync(join(output, 'images.tar.gz.partial'), Buffer.alloc(1000, 7));
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [1000, undefined]);
    }),
  ));

test('an older partial file that is too long is dropped', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      writeFileSync(join(output, 'images.tar.gz.partial'), Buffer.alloc(bytes.length + 10));
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [bytes.length + 10, undefined]);
    }),
  ));

test('a server that promises more than there is: the checksum decides', () =>
  inDirectory((output) => {
    const long: Answer = (response) => {
      response.writeHead(200, { 'content-length': bytes.length + 5000 });
      response.write(bytes, () => response.destroy());
    };
    return withServer([long], async (url, ranges) => {
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [undefined]);
    });
  }));

test('a server that promises less than there is: the checksum refuses', () =>
  inDirectory((output) => {
    const short: Answer = (response) =>
      response.socket!.end(
        Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length - 100}\r\n\r\n`), bytes]),
      );
    return withServer([short], async (url) => {
      assert.match(await dataError(() => download(url, output)), `${bytes.length - 100} bytes with the md5`);
      assert.equal(readdirSync(output), []);
    });
  }));

test('a wrong checksum is refused and nothing is left', () =>
  inDirectory((output) => {
    const page = Buffer.from('<!DOCTYPE html><p>Please log in');
    return withServer([serve(page)], async (url, ranges) => {
      const message = await dataError(() => download(url, output));
      assert.match(message, `not ${md5}`);
      assert.match(message, 'What came is a HTML file');
      assert.match(message, '--url');
      assert.equal(readdirSync(output), []);
      assert.is(ranges.length, 1);
    });
  }));

test('a wrong archive that comes in parts is tried twice, not for ever', () =>
  inDirectory((output) => {
    const wrong = Buffer.from(bytes).fill(0, 0, 500);
    const cut: Answer = (response) => {
      response.writeHead(200, { 'content-length': wrong.length });
      response.write(wrong.subarray(0, 1000), () => response.destroy());
    };
    return withServer([cut, serve(wrong), cut, serve(wrong)], async (url, ranges) => {
      assert.match(await dataError(() => download(url, output)), 'with the md5');
      assert.equal(ranges, [undefined, 1000, undefined, 1000]);
      assert.equal(readdirSync(output), []);
    });
  }));

test('a server that never gets further is given up, and what came is kept', () =>
  inDirectory((output) => {
    const fromStart: Answer = (response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 2000), () => response.destroy());
    };
    return withServer([fromStart], async (url, ranges) => {
      const message = await dataError(() => download(url, output));
      assert.match(message, 'times without progress');
      assert.match(message, 'the same command goes on from there');
      assert.is(ranges.length, 6);
      assert.equal(readdirSync(output), ['images.tar.gz.partial']);
    });
  }));

test('a silent server is left after a while', () =>
  inDirectory((output) => {
    const silent: Answer = (response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 3000));
    };
    return withServer([silent, serve(bytes)], async (url, ranges) => {
      await download(url, output, { idleMs: 300 });
      assertComplete(output);
      assert.equal(ranges, [undefined, 3000]);
    });
  }));

test('errors of the server: a passing one is tried again, a lasting one is named', () =>
  inDirectory((output) => {
    const fail =
      (status: number): Answer =>
      (response) =>
        response.writeHead(status).end('no');
    return withServer([fail(503), fail(429), serve(bytes)], async (url) => {
      await download(url, output);
      assertComplete(output);
    }).then(() =>
      withServer([fail(404)], async (url, ranges) => {
        const message = await dataError(() => download(url, join(output, 'other')));
        assert.match(message, `${url}/images.tar.gz: the server answers 404 Not Found`);
        assert.is(ranges.length, 1);
      }),
    );
  }));

test('nobody there: said with the address', () =>
  inDirectory(async (output) => {
    const url = await withServer([serve(bytes)], (address) => Promise.resolve(address));
    const message = await dataError(() => download(url, output));
    assert.match(message, 'ECONNREFUSED');
    assert.match(message, url);
  }));

test('redirects are followed, not for ever and not to other protocols', () =>
  inDirectory((output) => {
    const to =
      (location: string): Answer =>
      (response) =>
        response.writeHead(302, { location }).end();
    return withServer([to('/elsewhere/x'), serve(bytes)], async (url) => {
      await download(url, output);
      assertComplete(output);
    })
      .then(() =>
        withServer([to('/again')], async (url) =>
          assert.match(await dataError(() => download(url, join(output, 'a'))), 'more than 5 times'),
        ),
      )
      .then(() =>
        withServer([to('file:///etc/passwd')], async (url) =>
          assert.match(await dataError(() => download(url, join(output, 'b'))), 'neither http nor https'),
        ),
      );
  }));

test('a Content-Encoding of gzip is not undone', () =>
  inDirectory((output) => {
    const encoded: Answer = (response) =>
      response.writeHead(200, { 'content-encoding': 'x-gzip', 'content-length': bytes.length }).end(bytes);
    return withServer([encoded], async (url) => {
      await download(url, output);
      assertComplete(output);
    });
  }));

test('a stop keeps what came', () =>
  inDirectory((output) =>
    withServer([drop(4000), serve(bytes)], async (url, ranges) => {
      const abort = new AbortController();
      const stopped = download(url, output, { signal: abort.signal, onProgress: () => abort.abort(new Error('stop')) });
      assert.is(await stopped.catch((error: Error) => error.message), 'stop');
      const kept = readFileSync(join(output, 'images.tar.gz.partial'));
      assert.ok(kept.length > 0 && kept.equals(bytes.subarray(0, kept.length)));
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, [undefined, kept.length]);
    }),
  ));

test('an archive of another checksum under the final name is not overwritten', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url, ranges) => {
      const file = join(output, 'images.tar.gz');
      writeFileSync(file, 'mine');
      assert.match(await dataError(() => download(url, output)), 'rename it to images.tar.gz.partial');
      assert.is(readFileSync(file, 'utf8'), 'mine');
      writeFileSync(file, bytes);
      await download(url, output);
      assertComplete(output);
      assert.equal(ranges, []);
    }),
  ));

test('an archive without its folder, or that cannot be unpacked, leaves no folder', () =>
  inDirectory(async (output) => {
    for (const content of [
      tarGz([{ name: 'other/a.jpg', content: 'a' }]),
      tarGz([{ name: '../a.jpg', content: 'a' }]),
    ]) {
      const one = { ...archive, md5: createHash('md5').update(content).digest('hex') };
      const folder = join(output, one.md5);
      const run = withServer([serve(content)], (url) => downloadArchives([one], { url, output: folder, retryMs: 1 }));
      assert.match(await dataError(() => run), /holds no folder images|leads out of the folder/);
      assert.equal(readdirSync(folder), ['images.tar.gz']);
    }
    assert.not(existsSync(join(output, 'a.jpg')));
  }));

test('what a killed run left half unpacked is no obstacle, and is removed', () =>
  inDirectory((output) =>
    withServer([serve(bytes)], async (url) => {
      // No process has this number; the name is otherwise as a run of this machine makes it.
      const abandoned = join(output, `images.999999999-00000000@${hostname()}.partial`);
      mkdirSync(join(abandoned, 'images'), { recursive: true });
      await download(url, output);
      assertComplete(output);
    }),
  ));

test('the archives of the data set are the two known ones', () => {
  assert.equal(oxfordPetArchives.map(({ name, md5: sum }) => `${sum} ${name}`).sort(), [
    '5c4f3ee8e5d25df40f4fd59a7f44e54c images.tar.gz',
    '95a8c909bbe2e81eed6a22bccdf3f68f annotations.tar.gz',
  ]);
});

test.run();
