/** What every engine of `trimap bench peers` is given to do, and what it is given to do it with. */

export type Pass = 'forward' | 'input gradient' | 'filter gradient';

/** A convolution as PyTorch's: square kernel and images, padding on all sides. */
export interface ConvolutionWork {
  work: 'conv2d' | 'convTranspose2d';
  pass: Pass;
  batch: number;
  /** Channels of x and of y. */
  input: number;
  output: number;
  /** Height and width of x and of y, pixels. */
  size: number;
  outputSize: number;
  kernel: number;
  stride: number;
  padding: number;
}

/**
 * Report 3's nets. Training: BCE of the logits plus soft Dice of each image (1 - (2 sum(pt) + 1) / (sum(p) + sum(t) + 1),
 * averaged), Adam with PyTorch's constants. Inference: logits with running statistics.
 */
export interface StepWork {
  work: 'train' | 'infer';
  net: 'unet' | 'resnet34-unet';
  baseWidth: number;
  size: number;
  batch: number;
}

export type PeerWork = ConvolutionWork | StepWork;

export const isStep = (work: PeerWork): work is StepWork => work.work === 'train' || work.work === 'infer';

/** Training steps whose losses are compared. */
export const COMPARED_STEPS = 3;
export const LEARNING_RATE = 1e-3;

export interface PeerSizes {
  size: number;
  baseWidth: number;
  batch: number;
}

/** The convolution that the figures of other engines are known for, some of both nets' own, and the nets' steps. */
export function peerWorks({ size, baseWidth, batch }: PeerSizes): PeerWork[] {
  const conv = (input: number, output: number, pixels: number, kernel = 3, stride = 1, images = batch) =>
    ({
      work: 'conv2d',
      batch: images,
      input,
      output,
      size: pixels,
      outputSize: pixels / stride,
      kernel,
      stride,
      padding: (kernel - 1) >> 1,
    }) as const;
  const bottom = Math.max(1, size >> 4);
  const shapes = [
    conv(64, 64, 64, 3, 1, 2),
    conv(baseWidth, baseWidth, size),
    conv(8 * baseWidth, 16 * baseWidth, bottom),
    conv(baseWidth, 2 * baseWidth, size >> 2, 3, 2),
    conv(3, baseWidth, size, 7, 2),
    {
      ...conv(16 * baseWidth, 8 * baseWidth, bottom, 2, 2),
      work: 'convTranspose2d',
      outputSize: 2 * bottom,
      padding: 0,
    } as const,
  ];
  const passes = ['forward', 'input gradient', 'filter gradient'] as const;
  return [
    ...shapes.flatMap((shape) =>
      // Nobody asks for the gradient of the photos.
      passes.filter((pass) => shape.kernel !== 7 || pass !== 'input gradient').map((pass) => ({ ...shape, pass })),
    ),
    ...(['unet', 'resnet34-unet'] as const).flatMap((net) =>
      (['train', 'infer'] as const).map((work) => ({ work, net, size, baseWidth, batch })),
    ),
  ];
}

/** As `bench kernels` and `bench step` have it, so that rows can be looked up there. */
export function shapeOfWork(work: PeerWork): string {
  if (isStep(work)) return `${work.net} width ${work.baseWidth} ${work.size}x${work.size} batch ${work.batch}`;
  const { batch, input, output, kernel, stride, padding } = work;
  const [from, to] = work.work === 'conv2d' ? [input, output] : [output, input];
  const small = Math.min(work.size, work.outputSize);
  return `N${batch} ${from}->${to} ${small}x${small} k${kernel} s${stride} p${padding}`;
}

export const nameOfWork = (work: PeerWork): string => (isStep(work) ? work.work : `${work.work} ${work.pass}`);

/** What a second of it is counted in, and how many of them one call is: images, or 1e9 floating-point operations. */
export function amountOf(work: PeerWork): { amount: number; unit: 'images/s' | 'GFLOP/s' } {
  if (isStep(work)) return { amount: work.batch, unit: 'images/s' };
  const { batch, input, output, kernel } = work;
  const pixels = Math.min(work.size, work.outputSize) ** 2;
  return { amount: (2 * batch * input * output * kernel ** 2 * pixels) / 1e9, unit: 'GFLOP/s' };
}
