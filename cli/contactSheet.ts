/** `trimap augment` from its flags: the training's own settings, and how many pictures are drawn. */
import { augment } from './augment.js';
import { borderBytes } from './border.js';
import { Progress } from './progress.js';
import { resolveSettings, type TrainFlags } from './trainFlags.js';

type SharedFlags = 'dataPath' | 'recipe' | 'config' | 'size' | 'seed' | 'onBadFile' | 'adapter';

export interface ContactSheetFlags extends Pick<TrainFlags, SharedFlags> {
  quiet?: boolean;
  /** Photos. */
  n?: number;
  output?: string;
}

/** Augmented pictures of each photo. */
const DRAWS = 5;

export function contactSheet(flags: ContactSheetFlags): Promise<number> {
  const {
    dataPath,
    recipe,
    config,
    size,
    seed,
    onBadFile,
    adapter,
    quiet,
    n = 16,
    output = 'augmentation.png',
  } = flags;
  const settings = resolveSettings({ dataPath, recipe, config, size, seed, onBadFile });
  const { foreground } = borderBytes[settings.border];
  return augment({ ...settings, foreground, photos: n, draws: DRAWS, output, adapter }, Progress.of({ quiet }));
}
