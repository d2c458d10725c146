/** `log.txt`: every line that a run has shown, with its time. */
import { appendFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

export class RunLog {
  private path?: string;
  /** Lines from before the folder was there. */
  private kept = '';

  /** Takes text that was shown, of one or more lines. */
  add(text: string): void {
    const time = new Date().toISOString();
    const lines = stripVTControlCharacters(text).split(/\r?\n|\r/);
    const stamped = lines.map((line) => `${time} ${line}`.trimEnd() + '\n').join('');
    if (this.path === undefined) this.kept += stamped;
    else appendFileSync(this.path, stamped);
  }

  /** Writes from now on, behind what the file holds already. */
  open(path: string): void {
    this.path = path;
    appendFileSync(path, this.kept);
    this.kept = '';
  }
}
