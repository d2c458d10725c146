/**
 * Learning-rate schedules. All but one are pure functions of where training stands; reduce-on-plateau follows the scores
 * and has a state, which a checkpoint has to hold.
 */
import { type FieldValues, integer, number, oneOf, optional, readFields, SettingsError } from './settings.js';

/**
 * The learning rate of a step.
 * @param epoch counts from 0
 * @param step steps taken so far over the whole run, counts from 0
 */
export type Schedule = (epoch: number, step: number) => number;

/** What a schedule counts. */
export type Unit = 'epoch' | 'step';

const position = (unit: Unit, epoch: number, step: number): number => (unit === 'epoch' ? epoch : step);

/** The same rate always. */
export const constantRate =
  (rate: number): Schedule =>
  () =>
    rate;

/** rate * gamma^t, PyTorch's `ExponentialLR` stepped once an epoch, or a step. */
export const exponentialDecay =
  (rate: number, gamma: number, unit: Unit = 'epoch'): Schedule =>
  (epoch, step) =>
    rate * gamma ** position(unit, epoch, step);

export interface CosineSettings {
  /** What `warmup` and `total` count. */
  unit: Unit;
  /** The rate rises from rate / warmup in equal parts, and has `rate` in the last of these. Default 0: no warm-up. */
  warmup?: number;
  /** Length of the whole schedule, warm-up included; from there on the rate stays `minimum`. */
  total: number;
  /** Default 0. */
  minimum?: number;
}

/**
 * Linear warm-up to `rate`, then half a cosine down to `minimum`: minimum + (rate - minimum) (1 + cos(pi x)) / 2 with x
 * from 0 right after the warm-up to 1 at `total`. Source: Loshchilov and Hutter, "SGDR", 2017, without restarts;
 * PyTorch's `CosineAnnealingLR` when warmup is 0.
 * @throws SettingsError when the warm-up is not shorter than the whole
 */
export function cosineWithWarmup(rate: number, { unit, warmup = 0, total, minimum = 0 }: CosineSettings): Schedule {
  if (!(warmup >= 0 && total > warmup)) {
    throw new SettingsError(
      `cosine schedule: ${total} ${unit}s with a warm-up of ${warmup}; the warm-up has to be shorter than the whole`,
    );
  }
  return (epoch, step) => {
    const at = position(unit, epoch, step);
    if (at < warmup) return (rate * (at + 1)) / warmup;
    const x = Math.min(1, (at - warmup) / (total - warmup));
    return minimum + ((rate - minimum) * (1 + Math.cos(Math.PI * x))) / 2;
  };
}

export interface PolynomialSettings {
  /** What `total` counts. */
  unit: Unit;
  /** From here on the rate is 0. */
  total: number;
  /** 1 falls along a line. */
  power: number;
}

/**
 * rate * (1 - t / total)^power, PyTorch's `PolynomialLR`.
 * @throws SettingsError when total is not positive
 */
export function polynomialDecay(rate: number, { unit, total, power }: PolynomialSettings): Schedule {
  if (!(total > 0)) throw new SettingsError(`polynomial schedule: ${total} ${unit}s; a positive number is needed`);
  return (epoch, step) => rate * (1 - Math.min(1, position(unit, epoch, step) / total)) ** power;
}

/** Whether a score beats the best so far, as PyTorch's `ReduceLROnPlateau` judges it. */
export interface Improvement {
  /** Whether larger scores are better (`max`, Dice) or smaller ones (`min`, losses). */
  mode: 'max' | 'min';
  threshold: number;
  /** `rel`: by more than the share `threshold` of the best; `abs`: by more than `threshold`. */
  thresholdMode: 'rel' | 'abs';
}

/** @param best null before the first score, which every score beats that is a number */
export function improves(score: number, best: number | null, { mode, threshold, thresholdMode }: Improvement): boolean {
  if (best === null) return !Number.isNaN(score);
  const sign = mode === 'max' ? 1 : -1;
  const margin = thresholdMode === 'rel' ? best * (1 + sign * threshold) : best + sign * threshold;
  return mode === 'max' ? score > margin : score < margin;
}

export interface PlateauSettings extends Improvement {
  factor: number;
  /** Scores without improvement that are let pass; the one after them lowers the rate. */
  patience: number;
  /** Scores after a reduction during which none counts as bad. */
  cooldown: number;
  minimum: number;
}

export interface PlateauState {
  rate: number;
  best: number | null;
  bad: number;
  cooldownLeft: number;
}

/** Changes of the rate below this are not made (PyTorch's `eps`). */
const LEAST_CHANGE = 1e-8;

/** Multiplies the rate by `factor` when the score has stopped improving: PyTorch's `ReduceLROnPlateau`. */
export class ReduceOnPlateau {
  private own: PlateauState;

  constructor(
    rate: number,
    private readonly settings: PlateauSettings,
  ) {
    this.own = { rate, best: null, bad: 0, cooldownLeft: 0 };
  }

  get rate(): number {
    return this.own.rate;
  }

  /** Takes the next score: of an epoch, or of a step, as the caller counts. */
  observe(score: number): void {
    const { settings, own } = this;
    if (improves(score, own.best, settings)) {
      own.best = score;
      own.bad = 0;
    } else {
      own.bad++;
    }
    if (own.cooldownLeft > 0) {
      own.cooldownLeft--;
      own.bad = 0;
    }
    if (own.bad > settings.patience) {
      const lower = Math.max(own.rate * settings.factor, settings.minimum);
      if (own.rate - lower > LEAST_CHANGE) own.rate = lower;
      own.cooldownLeft = settings.cooldown;
      own.bad = 0;
    }
  }

  /** What a checkpoint holds. */
  get state(): PlateauState {
    return { ...this.own };
  }

  set state(state: PlateauState) {
    this.own = { ...state };
  }
}

const unit = oneOf(['epoch', 'step'], 'epoch');
/** Length of the schedule in its unit; null: the whole run. */
const total = optional(integer(undefined, 1));
const rate = { low: 0 };

const kinds = {
  constant: {},
  exponential: { unit, gamma: number(undefined, { low: 0, high: 1, exclusive: true }) },
  cosine: { unit, warmup: integer(0), total, minimum: number(0, rate) },
  polynomial: { unit, power: number(1, { low: 0, exclusive: true }), total },
  plateau: {
    unit,
    mode: oneOf(['max', 'min'], 'max'),
    factor: number(0.1, { low: 0, high: 0.999, exclusive: true }),
    patience: integer(10),
    threshold: number(1e-4, { low: 0 }),
    thresholdMode: oneOf(['rel', 'abs'], 'rel'),
    cooldown: integer(0),
    minimum: number(0, rate),
  },
};

type Kinds = typeof kinds;
export type ScheduleKind = keyof Kinds;

/** A schedule as a recipe names it: `{ kind: 'cosine', unit: 'step', warmup: 100 }`. */
export type ScheduleSettings = { [K in ScheduleKind]: { kind: K } & FieldValues<Kinds[K]> }[ScheduleKind];

/**
 * The schedule's settings with every value filled in; reading its own result gives the same again.
 * @param given a name, or settings as a recipe has them
 * @param key how the settings are called in messages
 * @throws SettingsError naming the key that is wrong
 */
export function resolveSchedule(given: unknown, key = 'schedule'): ScheduleSettings {
  if (typeof given === 'string') return resolveSchedule({ kind: given }, key);
  const { kind, ...settings } = (given ?? {}) as Record<string, unknown>;
  if (typeof kind !== 'string' || !Object.hasOwn(kinds, kind)) {
    const known = Object.keys(kinds).join(', ');
    throw new SettingsError(`${key}.kind: ${JSON.stringify(kind)} is no schedule; known are ${known}`);
  }
  return { kind, ...readFields(key, settings, kinds[kind as ScheduleKind]) } as ScheduleSettings;
}

/** A schedule in a run. */
export interface RunSchedule {
  /** What `observe` wants to hear: each epoch's validation score or each step's loss; undefined: nothing. */
  readonly observes: Unit | undefined;
  readonly rate: Schedule;
  observe(score: number): void;
  /** For the checkpoint; null where the schedule has none. */
  state: PlateauState | null;
}

/**
 * @param rate the run's learning rate
 * @param run its length, which `total` stands for where it is not given
 * @throws SettingsError when the settings do not fit the run
 */
export function createSchedule(
  settings: ScheduleSettings,
  rate: number,
  run: { epochs: number; stepsPerEpoch: number },
): RunSchedule {
  if (settings.kind === 'plateau') {
    const plateau = new ReduceOnPlateau(rate, settings);
    return {
      observes: settings.unit,
      rate: () => plateau.rate,
      observe: (score) => plateau.observe(score),
      get state() {
        return plateau.state;
      },
      set state(state) {
        if (state !== null) plateau.state = state;
      },
    };
  }
  return { observes: undefined, rate: pureSchedule(settings, rate, run), observe: () => {}, state: null };
}

function pureSchedule(
  settings: Exclude<ScheduleSettings, { kind: 'plateau' }>,
  rate: number,
  run: { epochs: number; stepsPerEpoch: number },
): Schedule {
  const whole = (of: Unit): number => (of === 'epoch' ? run.epochs : run.epochs * run.stepsPerEpoch);
  switch (settings.kind) {
    case 'constant':
      return constantRate(rate);
    case 'exponential':
      return exponentialDecay(rate, settings.gamma, settings.unit);
    case 'cosine':
      return cosineWithWarmup(rate, { ...settings, total: settings.total ?? whole(settings.unit) });
    case 'polynomial':
      return polynomialDecay(rate, { ...settings, total: settings.total ?? whole(settings.unit) });
  }
}
