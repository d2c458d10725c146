/**
 * The specialiser of shader files: constants are put in front of the text, types as aliases (with `enable f16` where one of
 * them needs it), and lines that begin with `#` unroll or choose.
 *
 *     #for i in 0..TILE       lines repeated with i = 0 .. TILE-1, up to the matching #end
 *     #if LANES > 8           lines kept when the expression is not 0, up to #else or #end
 *     #include moments        the lines of shaders/parts/moments.wgsl, with the constants and loop variables of this place; a part may
 *                             declare fields of Params and bindings, and include others
 *     #texels 1 x Quad        the read-only binding 1, an array of Quad called x, and the function loadX that reads an element as
 *                             f32: from a texture where TEXELS is not 0 (`texels.ts`), else from a buffer
 *     #texels 2 dy Stored V   the same where an element is V numbers, 1, 2 or 4 (default 4)
 *     ${i * 4 + 1}            the value of an integer expression of constants and loop variables
 *     ${LANES == 8 ? f : g}   one of two words, by such an expression
 *
 * Expressions know integers, + - * / % (integer division), comparisons, && || ! and parentheses. WGSL has no unrolled
 * register tiles and `subgroupBroadcast` wants a constant lane, hence the loops; no way to leave open whether a binding is
 * a buffer or a texture; and no text from another file.
 */

/** What a buffer holds, one number or some; shaders convert to and from f32. */
export type ElementType = 'f32' | 'f16' | 'vec2f' | 'vec2h' | 'vec4f' | 'vec4h';

export const isHalf = (type: string): boolean => /^(f16|vec\dh)$/.test(type);

/** Whatever is baked into a shader; it is the pipeline key together with the file's name. */
export type Constants = Readonly<Record<string, number | boolean | ElementType>>;

/** The text of `shaders/NAME.wgsl`; throws where there is none. */
export type ShaderText = (name: string) => string;

/** A line as it stands in a file below shaders/. */
export interface SourceLine {
  readonly text: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface Specialised {
  /** WGSL text for the compiler. */
  code: string;
  /** `lines[i]` is what line i (from 0) of `code` came from; undefined for a constant put in front. */
  lines: (SourceLine | undefined)[];
}

/**
 * The lines of a shader, with those of the parts that it includes in their places.
 * @throws Error with file and line for a part that does not exist or includes itself
 */
export function sourceLines(shader: string, textOf: ShaderText): SourceLine[] {
  return withParts(`${shader}.wgsl`, textOf(shader), textOf, []);
}

function withParts(file: string, source: string, textOf: ShaderText, within: string[]): SourceLine[] {
  return source.split('\n').flatMap((text, index) => {
    const at = { text, file, line: index + 1 };
    const [, name] = /^\s*#include\b\s*(.*?)\s*$/.exec(text) ?? [];
    if (name === undefined) return [at];
    if (!/^\w+$/.test(name)) throw located(at, 'expected "#include NAME"');
    const part = `parts/${name}.wgsl`;
    if (within.includes(part)) throw located(at, `shaders/${part} includes itself`);
    let included: string;
    try {
      included = textOf(`parts/${name}`);
    } catch (cause) {
      throw new Error(`${located(at, `cannot read shaders/${part}`).message}: ${(cause as Error).message}`, { cause });
    }
    return withParts(part, included.replace(/\n$/, ''), textOf, [...within, part]);
  });
}

const placeOf = ({ file, line }: SourceLine): string => `${file}:${line}`;
const located = (at: SourceLine, why: string): Error => new Error(`${placeOf(at)}: ${why}: ${at.text.trim()}`);

/**
 * @throws Error with file and line for an unknown name, an unbalanced directive, a constant that is no integer, or a part that
 *   cannot be included
 */
export function specialise(shader: string, textOf: ShaderText, constants: Constants): Specialised {
  const scope = new Map<string, number>();
  const types = Object.entries(constants).filter(([, value]) => typeof value === 'string');
  for (const [name, value] of Object.entries(constants)) {
    if (typeof value === 'string') continue;
    if (typeof value === 'number' && !Number.isInteger(value)) {
      throw new Error(
        `${shader}.wgsl: constant ${name} is ${value}; only integers and booleans are baked into a shader`,
      );
    }
    scope.set(name, Number(value));
  }
  const out: string[] = [];
  const lines: Specialised['lines'] = [];
  expandBlock(parse(sourceLines(shader, textOf)), scope, (text, at) => {
    out.push(text);
    lines.push(at);
  });
  // `enable` and `diagnostic` must stand before every declaration, the constants included.
  let front = 0;
  out.forEach((text, i) => {
    if (/^\s*(enable|diagnostic|requires)\b/.test(text)) front = i + 1;
  });
  const half =
    types.some(([, value]) => isHalf(String(value))) && !out.some((text) => /^\s*enable\s+f16\s*;/.test(text));
  const declared = [
    ...(half ? ['enable f16;'] : []),
    ...Object.entries(constants).map(
      ([name, value]) => `${typeof value === 'string' ? 'alias' : 'const'} ${name} = ${value};`,
    ),
  ];
  out.splice(front, 0, ...declared);
  lines.splice(front, 0, ...declared.map(() => undefined));
  return { code: out.join('\n') + '\n', lines };
}

type Item = { at: SourceLine } & (
  | { kind: 'text' }
  | { kind: 'for'; name: string; from: string; to: string; body: Item[] }
  | { kind: 'if'; test: string; body: Item[]; otherwise: Item[] }
  | { kind: 'texels'; declared: TexelsDirective }
);

export interface TexelsDirective {
  binding: number;
  name: string;
  /** What the buffer is an array of. */
  element: string;
  /** Numbers of an element, an expression. */
  width: string;
}

/** The `#texels` of a line, if it is one. */
export function texelsDirective(line: string): TexelsDirective | undefined {
  const [, binding, name, element, width = '4'] =
    /^\s*#texels\s+(\d+)\s+(\w+)\s+([\w<>]+)(?:\s+(.+?))?\s*$/.exec(line) ?? [];
  return binding === undefined ? undefined : { binding: Number(binding), name, element, width };
}

function parse(lines: readonly SourceLine[]): Item[] {
  const root: Item[] = [];
  const open: { body: Item[]; item?: Item }[] = [{ body: root }];
  const requireOneFile = (from: SourceLine, at: SourceLine): void => {
    if (from.file !== at.file)
      throw located(at, `${placeOf(from)} began this, and a block ends in the file it begins in`);
  };
  for (const at of lines) {
    const top = open[open.length - 1];
    const directive = /^\s*#(\w+)\s*(.*?)\s*$/.exec(at.text);
    if (!directive) {
      top.body.push({ kind: 'text', at });
    } else if (directive[1] === 'for') {
      const parts = /^(\w+) in (.+)\.\.(.+)$/.exec(directive[2]);
      if (!parts) throw located(at, 'expected "#for NAME in FROM..TO"');
      const item: Item = { kind: 'for', name: parts[1], from: parts[2], to: parts[3], at, body: [] };
      top.body.push(item);
      open.push({ body: item.body, item });
    } else if (directive[1] === 'if') {
      const item: Item = { kind: 'if', test: directive[2], at, body: [], otherwise: [] };
      top.body.push(item);
      open.push({ body: item.body, item });
    } else if (directive[1] === 'texels') {
      const declared = texelsDirective(at.text);
      if (!declared)
        throw located(at, 'expected "#texels BINDING NAME ELEMENT" or "#texels BINDING NAME ELEMENT WIDTH"');
      top.body.push({ kind: 'texels', declared, at });
    } else if (directive[1] === 'else') {
      if (top.item?.kind !== 'if' || top.body === top.item.otherwise) throw located(at, '#else without #if');
      requireOneFile(top.item.at, at);
      top.body = top.item.otherwise;
    } else if (directive[1] === 'end') {
      if (!top.item) throw located(at, '#end without #for or #if');
      requireOneFile(top.item.at, at);
      open.pop();
    } else {
      throw located(at, 'unknown directive');
    }
  }
  const left = open[open.length - 1].item;
  if (left) throw new Error(`${placeOf(left.at)}: this #${left.kind} has no #end`);
  return root;
}

function expandBlock(items: Item[], scope: Map<string, number>, emit: (text: string, at: SourceLine) => void): void {
  for (const item of items) {
    const { at } = item;
    if (item.kind === 'text') {
      emit(
        at.text.replace(/\$\{([^}]*)\}/g, (_, e: string) => substitute(e, scope, placeOf(at))),
        at,
      );
    } else if (item.kind === 'texels') {
      const width = evaluate(item.declared.width, scope, placeOf(at));
      if (![1, 2, 4].includes(width))
        throw new Error(`${placeOf(at)}: an element of ${width} numbers; it has 1, 2 or 4`);
      const lines = scope.get('TEXELS') ? fromTexture(item.declared, width) : fromBuffer(item.declared, width);
      lines.forEach((text) => emit(text, at));
    } else if (item.kind === 'if') {
      expandBlock(evaluate(item.test, scope, placeOf(at)) ? item.body : item.otherwise, scope, emit);
    } else {
      const from = evaluate(item.from, scope, placeOf(at));
      const to = evaluate(item.to, scope, placeOf(at));
      for (let i = from; i < to; i++) expandBlock(item.body, new Map(scope).set(item.name, i), emit);
    }
  }
}

function substitute(expression: string, scope: Map<string, number>, where: string): string {
  const [, test, yes, no] = /^(.+)\?\s*(\w+)\s*:\s*(\w+)\s*$/.exec(expression) ?? [];
  if (test === undefined) return String(evaluate(expression, scope, where));
  return evaluate(test, scope, where) ? yes : no;
}

const loader = (name: string): string => `load${name[0].toUpperCase()}${name.slice(1)}`;
const numbers = (width: number): string => (width === 1 ? 'f32' : `vec${width}f`);

const fromBuffer = ({ binding, name, element }: TexelsDirective, width: number): string[] => [
  `@group(0) @binding(${binding}) var<storage, read> ${name}: array<${element}>;`,
  `fn ${loader(name)}(i: u32) -> ${numbers(width)} {`,
  `  return ${numbers(width)}(${name}[i]);`,
  `}`,
];

/** A texel is four numbers: it holds two elements of two, or four of one. */
function fromTexture({ binding, name }: TexelsDirective, width: number): string[] {
  const part = {
    1: 'select(select(t.x, t.y, (i & 1u) != 0u), select(t.z, t.w, (i & 1u) != 0u), (i & 2u) != 0u)',
    2: 'select(t.xy, t.zw, (i & 1u) != 0u)',
    4: 't',
  }[width]!;
  return [
    `@group(0) @binding(${binding}) var ${name}: texture_storage_2d<rgba32float, read>;`,
    `fn ${loader(name)}(i: u32) -> ${numbers(width)} {`,
    `  let at = i / ${4 / width}u;`,
    `  let t = textureLoad(${name}, vec2u(at & ((1u << TEXELS) - 1u), at >> TEXELS));`,
    `  return ${part};`,
    `}`,
  ];
}

const BINARY: Record<string, { power: number; apply: (a: number, b: number) => number }> = {
  '||': { power: 1, apply: (a, b) => Number(a !== 0 || b !== 0) },
  '&&': { power: 2, apply: (a, b) => Number(a !== 0 && b !== 0) },
  '==': { power: 3, apply: (a, b) => Number(a === b) },
  '!=': { power: 3, apply: (a, b) => Number(a !== b) },
  '<': { power: 4, apply: (a, b) => Number(a < b) },
  '<=': { power: 4, apply: (a, b) => Number(a <= b) },
  '>': { power: 4, apply: (a, b) => Number(a > b) },
  '>=': { power: 4, apply: (a, b) => Number(a >= b) },
  '+': { power: 5, apply: (a, b) => a + b },
  '-': { power: 5, apply: (a, b) => a - b },
  '*': { power: 6, apply: (a, b) => a * b },
  '/': { power: 6, apply: (a, b) => Math.trunc(a / b) },
  '%': { power: 6, apply: (a, b) => a % b },
};

/** Precedence climbing over a handful of tokens. */
function evaluate(expression: string, scope: Map<string, number>, where: string): number {
  const tokens = expression.match(/\d+|\w+|\|\||&&|[<>=!]=|[-+*/%()<>!]/g) ?? [];
  const fail = (why: string) => new Error(`${where}: ${why} in "${expression.trim()}"`);
  let at = 0;
  const unary = (): number => {
    const token = tokens[at++];
    if (token === undefined) throw fail('the expression ends too early');
    if (token === '-') return -unary();
    if (token === '!') return Number(unary() === 0);
    if (token === '(') {
      const value = binary(0);
      if (tokens[at++] !== ')') throw fail('missing )');
      return value;
    }
    if (/^\d/.test(token)) return Number(token);
    const value = scope.get(token);
    if (value === undefined) throw fail(`unknown name ${token}`);
    return value;
  };
  const binary = (least: number): number => {
    let left = unary();
    for (let op = BINARY[tokens[at]]; op && op.power > least; op = BINARY[tokens[at]]) {
      at++;
      left = op.apply(left, binary(op.power));
    }
    return left;
  };
  const value = binary(0);
  if (at !== tokens.length) throw fail(`unexpected ${tokens[at]}`);
  return value;
}
