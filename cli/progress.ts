/** What a command shows while it works: a bar that is drawn over on a terminal, now and then a plain line in a log. */

const REDRAW_MS = 100;
const LOG_MS = 10_000;
const BAR_WIDTH = 20;

/** The part of a stream that progress needs. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export class Progress {
  /** Takes each line without colours: the log of a run. */
  onLine?: (line: string) => void;

  /** Whether lines can be drawn over. */
  private readonly live: boolean;
  private drawn = false;
  private lastShown: number;

  constructor(
    private readonly out: Output = process.stdout,
    environment: NodeJS.ProcessEnv = process.env,
  ) {
    this.live = out.isTTY === true && !environment.CI && environment.TERM !== 'dumb';
    this.lastShown = performance.now();
  }

  /** A line that stays. */
  line(text: string): void {
    this.clear();
    this.out.write(`${text}\n`);
    this.onLine?.(text);
    this.lastShown = performance.now();
  }

  /**
   * How far something has come. The text is made only when it is shown: ten times a second on a terminal, every ten seconds
   * in a log.
   */
  update(title: string, done: number, total: number, details: () => readonly string[] = () => []): void {
    const now = performance.now();
    if (now - this.lastShown < (this.live ? REDRAW_MS : LOG_MS)) return;
    this.lastShown = now;
    if (!this.live) {
      const line = [`${title}: ${done} of ${total}`, ...details()].join(', ');
      this.out.write(`${line}\n`);
      this.onLine?.(line);
      return;
    }
    const filled = Math.round((BAR_WIDTH * done) / Math.max(total, 1));
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
    const text = [`${title} ${bar} ${done}/${total}`, ...details()].join('  ');
    // A line that wraps could not be drawn over.
    this.out.write(`\r\x1b[K${text.slice(0, (this.out.columns ?? 80) - 1)}`);
    this.drawn = true;
  }

  /** Takes the bar away; call before anything else is written, and at the end. */
  clear(): void {
    if (this.drawn) this.out.write('\r\x1b[K');
    this.drawn = false;
  }
}

/** "45 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** "12.3 MiB". */
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Columns aligned: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '),
    )
    .join('\n');
}
