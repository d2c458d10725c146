/** The table of epochs that grows while a run trains: a row an epoch, with its headings again now and then. */
import type { Progress } from './progress.js';
import type { EpochRecord } from './runFolder.js';

const HEADINGS_EVERY = 20;

interface Column {
  /** Above those of one group. */
  group: string;
  heading: string;
  /** A longer value pushes its own row apart, and stays readable. */
  width: number;
  cell(record: EpochRecord): string;
}

const four = (value: number): string => value.toFixed(4);

const COLUMNS: readonly Column[] = [
  { group: 'augmented', heading: 'loss', width: 7, cell: (record) => four(record.train_loss_augmented) },
  { group: 'augmented', heading: 'Dice', width: 6, cell: (record) => four(record.train_dice_augmented) },
  { group: 'validation', heading: 'loss', width: 7, cell: (record) => four(record.valid_loss) },
  { group: 'validation', heading: 'Dice', width: 6, cell: (record) => four(record.valid_dice) },
  { group: 'validation', heading: 'IoU', width: 6, cell: (record) => four(record.valid_iou) },
  { group: '', heading: 'rate', width: 8, cell: (record) => rate(record.learning_rate) },
  { group: '', heading: 'norm', width: 6, cell: (record) => norm(record.gradient_norm) },
  { group: '', heading: 'img/s', width: 6, cell: (record) => record.images_per_second.toFixed(1) },
  { group: '', heading: 'wait', width: 5, cell: (record) => `${(100 * record.waiting).toFixed(0)} %` },
];

/** Of training with f16: the scale after the epoch, and the steps that changed no weight because gradients overflowed. */
const SCALE_COLUMNS: readonly Column[] = [
  { group: '', heading: 'scale', width: 8, cell: (record) => String(record.loss_scale) },
  { group: '', heading: 'skipped', width: 7, cell: (record) => String(record.skipped_steps) },
];

const norm = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** Three digits are enough to follow a schedule. */
const rate = (value: number): string => (value >= 1e-3 ? String(Number(value.toPrecision(3))) : value.toExponential(1));

export class EpochTable {
  private rows = 0;
  private readonly epochWidth: number;

  constructor(
    private readonly epochs: number,
    private readonly progress: Progress,
  ) {
    this.epochWidth = Math.max('epoch'.length, 2 * String(epochs).length + 1);
  }

  /** @param isBest marked by a star behind the validation Dice */
  add(record: EpochRecord, isBest: boolean): void {
    const { progress } = this;
    const columns = record.loss_scale === undefined ? COLUMNS : [...COLUMNS, ...SCALE_COLUMNS];
    if (this.rows++ % HEADINGS_EVERY === 0) for (const line of this.headings(columns)) progress.line(line, 'dim');
    const cells = columns.map(({ heading, group, width, cell }) => {
      const mark = group === 'validation' && heading === 'Dice' ? (isBest ? '*' : ' ') : '';
      return `${cell(record).padStart(width)}${mark}`;
    });
    const row = [`${record.epoch}/${this.epochs}`.padStart(this.epochWidth), ...cells].join('  ');
    progress.line(row, isBest ? 'green' : undefined);
  }

  private headings(columns: readonly Column[]): string[] {
    const names = columns.map(({ heading, group, width }) => {
      const mark = group === 'validation' && heading === 'Dice' ? ' ' : '';
      return `${heading.padStart(width)}${mark}`;
    });
    const groups = [...new Set(columns.map(({ group }) => group))];
    const above = groups.map((group) =>
      group.padStart(names.filter((_, i) => columns[i].group === group).join('  ').length),
    );
    return [
      [' '.repeat(this.epochWidth), ...above].join('  ').trimEnd(),
      ['epoch'.padStart(this.epochWidth), ...names].join('  '),
    ];
  }
}
