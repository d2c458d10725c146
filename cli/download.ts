/** `trimap download`: the Oxford-IIIT Pet data set. The one command that uses the network. */
import { downloadArchives, oxfordPetArchives, oxfordPetUrl, type Archive } from '../data/download.js';
import { Interrupted, UsageError } from './errors.js';
import { StopRequest } from './interrupt.js';
import { duration, Progress } from './progress.js';

export interface DownloadFlags {
  url?: string;
  output?: string;
  quiet?: boolean;
}

export async function download(
  { url = oxfordPetUrl, output = 'oxford-iiit-pet', quiet }: DownloadFlags,
  archives: readonly Archive[] = oxfordPetArchives,
  progress = Progress.of({ quiet }),
): Promise<number> {
  const protocol = URL.canParse(url) ? new URL(url).protocol : undefined;
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new UsageError(`--url ${url}: give the http or https address of the folder that holds ${archives[0].name}`);
  progress.line(`Oxford-IIIT Pet into ${output}: CC BY-SA 4.0, copyright in the photos stays with their owners`);
  const abort = new AbortController();
  const stop = new StopRequest(() => abort.abort());
  const show = transferProgress(progress);
  try {
    await downloadArchives(archives, {
      url,
      output,
      signal: abort.signal,
      onLine: (line) => progress.line(line),
      onProgress: show,
    });
    progress.result(`complete. Look it over with: trimap check --data-path ${output}`);
    return 0;
  } catch (error) {
    if (abort.signal.aborted)
      throw new Interrupted('stopped; what has come is kept, and the same command goes on from there');
    throw error;
  } finally {
    progress.clear();
    stop.dispose();
  }
}

/** Shows MiB, and rate and time left since the present title came up. */
function transferProgress(progress: Progress) {
  let since = { title: '', bytes: 0, ms: 0 };
  return (title: string, bytes: number, total: number | undefined): void => {
    if (title !== since.title || bytes < since.bytes) since = { title, bytes, ms: performance.now() };
    const mebi = (count: number) => Math.round(count / 2 ** 20);
    progress.update(title, mebi(bytes), mebi(total ?? bytes), () => {
      const rate = (bytes - since.bytes) / Math.max(1e-3, (performance.now() - since.ms) / 1000);
      const left = total === undefined || rate === 0 ? [] : [`${duration((total - bytes) / rate)} left`];
      return [`${(rate / 2 ** 20).toFixed(1)} MiB/s`, ...left];
    });
  };
}
