/** What the border band of a trimap counts as, in terms of mask bytes: 0 background, 1 object, 2 border. */
import type { ModelSettings } from '../nets/model.js';
import type { Border } from './settings.js';

export const borderBytes: Record<Border, Required<Pick<ModelSettings, 'foreground' | 'ignored'>>> = {
  pet: { foreground: [1, 2], ignored: [] },
  background: { foreground: [1], ignored: [] },
  ignore: { foreground: [1], ignored: [2] },
};

/** For people: what the three values of a trimap file become. */
export const borderRules: Record<Border, string> = {
  pet: '1 (object) and 3 (border) are foreground, 2 is background',
  background: '1 (object) is foreground, 2 and 3 (border) are background',
  ignore: '1 (object) is foreground, 2 is background, 3 (border) is left out',
};
