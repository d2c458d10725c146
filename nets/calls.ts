/** The calls that a run makes again and again, known without compiling them: what there is to tune. */
import { plannedNodes } from '../engine/arrange.js';
import type { Device } from '../engine/device.js';
import type { Node } from '../engine/graph.js';
import { Variables } from '../engine/variables.js';
import { type EvaluationSettings, recordEvaluation } from './evaluationStep.js';
import { planOptions, recordTraining, type TrainingSettings } from './trainingStep.js';

/** Of a training step, then of an evaluation step; none does more in one form than in another, as taking statistics along would be. */
export function callsOf(device: Device, training: TrainingSettings, evaluation: EvaluationSettings): Node[] {
  const variables = new Variables(device);
  const plain = device.withKernels('plain');
  const { pass } = recordTraining(variables, training);
  const evaluated = recordEvaluation(variables, evaluation);
  return [
    ...plannedNodes(plain, pass.graph, { outputs: pass.outputs, ...planOptions(training) }).nodes,
    ...plannedNodes(plain, evaluated.pass.graph, { outputs: evaluated.pass.outputs, fuse: evaluation.fuse }).nodes,
  ];
}
