/** `log.txt`: every line that a run has shown, with its time. */
import { appendFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

export class RunLog {
  private path?: string;
  /** Lines that are not in the file yet. */
  private kept = '';
  private warned = false;

  /** Takes text that was shown, of one or more lines. */
  add(text: string): void {
    const time = new Date().toISOString();
    const lines = stripVTControlCharacters(text).split(/\r?\n|\r/);
    const stamped = lines.map((line) => `${time} ${line}`.trimEnd() + '\n').join('');
    this.kept += stamped;
    this.write();
  }

  /** Writes from now on, behind what the file holds already. */
  open(path: string): void {
    this.path = path;
    this.write();
  }

  /** A disk that is full for a while costs no line, and no run as long as nothing else has to be written. */
  private write(): void {
    if (this.path === undefined) return;
    try {
      appendFileSync(this.path, this.kept);
      this.kept = '';
    } catch (error) {
      if (!this.warned) console.error(`warning: ${this.path} cannot be written (${(error as Error).message})`);
      this.warned = true;
    }
  }
}
