/** `trimap check`: everything that is wrong with the files of a data set. */
import { checkDataset, type CheckReport } from '../data/check.js';
import { listNames, plural } from '../data/errors.js';
import { UsageError } from './errors.js';
import { type OutputFlags, Progress } from './progress.js';

export interface CheckFlags extends OutputFlags {
  dataPath?: string;
  seed?: number;
}

/** Exit code 1 when there is any fault. */
export async function check({ dataPath, seed = 42, json, quiet }: CheckFlags): Promise<number> {
  if (dataPath === undefined) throw new UsageError('give the data set to check: --data-path DIR');
  const progress = Progress.of({ json, quiet });
  progress.line(`checking ${dataPath}`);
  try {
    const report = await checkDataset(dataPath, {
      seed,
      onProgress: (done, total) => progress.update('reading pairs', done, total),
    });
    progress.clear();
    if (json) {
      const { root, layout = null, files, faults, notes } = report;
      console.log(JSON.stringify({ path: root, layout, files, faults, notes }));
    } else {
      for (const line of describe(report)) progress.result(line);
    }
    return report.faults.length > 0 ? 1 : 0;
  } finally {
    progress.clear();
  }
}

function describe({ files, faults, notes, summary }: CheckReport): string[] {
  const oddTypes = notes.filter(({ kind }) => kind === 'type').map(({ file, reason }) => `${file} ${reason}`);
  const namesakes = notes.filter(({ kind }) => kind === 'same name in two splits').map(({ file }) => file);
  return [
    // Files in no list and masks without a photo are in the summary already.
    ...summary.map((note) => `data: ${note}`),
    ...(oddTypes.length > 0 ? [`note: another type than the name says: ${listNames(oddTypes, 20)}`] : []),
    ...(namesakes.length > 0 ? [`note: the same name in two splits: ${listNames(namesakes, 20)}`] : []),
    ...faults.map(({ kind, file, reason }) => `fault (${kind}): ${file} ${reason}`),
    `${faults.length > 0 ? plural(faults.length, 'fault') : 'no fault'}, ${plural(files, 'file')} read`,
  ];
}
