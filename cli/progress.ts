/** What a command shows while it works: a bar that is drawn over on a terminal, now and then a plain line in a log. */

const REDRAW_MS = 100;
const LOG_MS = 10_000;
/** Characters of the bar; it gives way to the words on a narrow terminal, and goes where fewer than the least are left. */
const BAR_WIDTH = 30;
const LEAST_BAR_WIDTH = 4;

/** The part of a stream that progress needs. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** Flags of every command that shows how far it is. */
export interface OutputFlags {
  /** Results and warnings alone. */
  quiet?: boolean;
  /** stdout belongs to a program: what people read goes to stderr. */
  json?: boolean;
}

const ESCAPE_CODES = { bold: 1, dim: 2, green: 32, yellow: 33 } as const;

export type Paint = keyof typeof ESCAPE_CODES;

export class Progress {
  /** Takes each line without colours, shown or not: the log of a run. */
  onLine?: (line: string) => void;

  /** Whether lines can be drawn over. */
  private readonly live: boolean;
  private readonly coloured: boolean;
  private readonly quiet: boolean;
  private drawn = false;
  private lastShown: number;

  /** @param environment of which CI, TERM=dumb and NO_COLOR (https://no-color.org) count */
  constructor(
    private readonly out: Output = process.stdout,
    { quiet = false, environment = process.env }: { quiet?: boolean; environment?: NodeJS.ProcessEnv } = {},
  ) {
    const terminal = out.isTTY === true && environment.TERM !== 'dumb';
    this.live = terminal && !environment.CI;
    this.coloured = terminal && !environment.NO_COLOR;
    this.quiet = quiet;
    this.lastShown = performance.now();
  }

  static of({ json, quiet }: OutputFlags): Progress {
    return new Progress(json ? process.stderr : process.stdout, { quiet });
  }

  /** A line that stays. */
  line(text: string, colour?: Paint): void {
    if (this.quiet) this.onLine?.(text);
    else this.result(text, colour);
  }

  /** A line that is shown under --quiet, too: what the command was run for. */
  result(text: string, colour?: Paint): void {
    this.clear();
    this.out.write(`${colour ? this.paint(text, colour) : text}\n`);
    this.onLine?.(text);
    this.lastShown = performance.now();
  }

  /** What the user should look into; shown under --quiet, too. */
  warning(text: string): void {
    this.result(`warning: ${text}`, 'yellow');
  }

  /** A line of JSON on stdout, for a program. */
  json(value: object): void {
    this.clear();
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** In colour where the output is a terminal that may have them. */
  paint(text: string, colour: Paint): string {
    return this.coloured ? `\x1b[${ESCAPE_CODES[colour]}m${text}\x1b[0m` : text;
  }

  /**
   * How far something has come. The text is made only when it is shown: ten times a second on a terminal, every ten seconds
   * in a log.
   * @param details the most important first: a narrow terminal shows no more than fit
   */
  update(title: string, done: number, total: number, details: () => readonly string[] = () => []): void {
    if (this.quiet) return;
    const now = performance.now();
    if (now - this.lastShown < (this.live ? REDRAW_MS : LOG_MS)) return;
    this.lastShown = now;
    if (!this.live) {
      const line = [`${title}: ${done} of ${total}`, ...details()].join(', ');
      this.out.write(`${line}\n`);
      this.onLine?.(line);
      return;
    }
    this.out.write(`\r\x1b[K${this.bar(title, done, total, details())}`);
    this.drawn = true;
  }

  /** One line that is too short to wrap: a line that wraps could not be drawn over. */
  private bar(title: string, done: number, total: number, details: readonly string[]): string {
    const width = (this.out.columns ?? 80) - 1;
    const count = `${done}/${total}`;
    let words = '';
    for (const detail of details) {
      if (title.length + 1 + count.length + words.length + 2 + detail.length > width) break;
      words += `  ${detail}`;
    }
    const room = Math.min(BAR_WIDTH, width - (title.length + 1 + 3 + count.length + words.length));
    if (room < LEAST_BAR_WIDTH) return `${title} ${count}${words}`.slice(0, width);
    const filled = Math.round((room * done) / Math.max(total, 1));
    const [full, empty] = ['#'.repeat(filled), '-'.repeat(room - filled)];
    return `${this.paint(title, 'bold')} [${this.paint(full, 'green')}${this.paint(empty, 'dim')}] ${count}${words}`;
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
