/** Curves, pictures and the report page of a run, written after every epoch and at its end. */
import type { RunState } from '../claim.js';
import type { RunObserver } from '../observers.js';
import type { RunFolder } from '../runFolder.js';

export const reportFiles = (): RunObserver => ({
  name: 'report',
  started: ({ folder }) => write(folder, 'running'),
  async epoch(run, { record }) {
    const { writeEpochPictures } = await import('./pictures.js');
    await writeEpochPictures(run, record.epoch);
    await write(run.folder, 'running');
  },
  async finished(run, { valid, test }) {
    const { writeCases } = await import('./pictures.js');
    await writeCases(run, test ? 'test' : 'valid', (test ?? valid).photos);
    await write(run.folder, 'finished');
    run.progress.line(`report:  ${run.folder.file('report')}`);
  },
  stopped: ({ folder }) => write(folder, 'interrupted'),
});

/** The chart library takes half a second to load: nobody but this waits for it, and only once. */
async function write(folder: RunFolder, state: RunState): Promise<void> {
  const { writeReport } = await import('./runReport.js');
  writeReport(folder, state);
}
