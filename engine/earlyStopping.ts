import { improves } from './schedules.js';
import { SettingsError } from './settings.js';

export interface EarlyStoppingSettings {
  /** Scores in a row without improvement after which training stops. */
  patience: number;
  /** What the best score has to be beaten by to count as improved. */
  minimumImprovement: number;
  /** Whether larger scores are better (`max`, Dice) or smaller ones (`min`, losses). Default `max`. */
  mode?: 'max' | 'min';
}

export interface EarlyStoppingState {
  best: number | null;
  bad: number;
}

/** Says when training has stopped paying. */
export class EarlyStopping {
  private own: EarlyStoppingState = { best: null, bad: 0 };

  /** @throws SettingsError when patience is not a whole number from 1 on, or the improvement negative */
  constructor(private readonly settings: EarlyStoppingSettings) {
    const { patience, minimumImprovement } = settings;
    if (!(Number.isInteger(patience) && patience >= 1)) {
      throw new SettingsError(`earlyStopping.patience: ${patience} is not a whole number from 1 on`);
    }
    if (!(minimumImprovement >= 0)) {
      throw new SettingsError(`earlyStopping.minimumImprovement: ${minimumImprovement} is not a number from 0 on`);
    }
  }

  /**
   * Takes the next score; one that is not a number never improves.
   * @returns whether to stop
   */
  observe(score: number): boolean {
    const { minimumImprovement: threshold, mode = 'max' } = this.settings;
    if (improves(score, this.own.best, { mode, threshold, thresholdMode: 'abs' })) this.own = { best: score, bad: 0 };
    else this.own.bad++;
    return this.stopped;
  }

  get stopped(): boolean {
    return this.own.bad >= this.settings.patience;
  }

  /** What a checkpoint holds. */
  get state(): EarlyStoppingState {
    return { ...this.own };
  }

  set state(state: EarlyStoppingState) {
    this.own = { ...state };
  }
}
