/**
 * The specialiser of shader files: constants are put in front of the text, types as aliases (with `enable f16` where one of
 * them needs it), and lines that begin with `#` unroll or choose.
 *
 *     #for i in 0..TILE       lines repeated with i = 0 .. TILE-1, up to the matching #end
 *     #if LANES > 8           lines kept when the expression is not 0, up to #else or #end
 *     #texels 1 x Quad        the read-only binding 1, an array of Quad called x, and the function loadX that reads an element as
 *                             f32: from a texture where TEXELS is not 0 (`texels.ts`), else from a buffer
 *     #texels 2 dy Stored V   the same where an element is V numbers, 1, 2 or 4 (default 4)
 *     ${i * 4 + 1}            the value of an integer expression of constants and loop variables
 *     ${LANES == 8 ? f : g}   one of two words, by such an expression
 *
 * Expressions know integers, + - * / % (integer division), comparisons, && || ! and parentheses. WGSL has no unrolled
 * register tiles and `subgroupBroadcast` wants a constant lane, hence the loops; and no way to leave open whether a binding is
 * a buffer or a texture.
 */

/** What a buffer holds, one number or some; shaders convert to and from f32. */
export type ElementType = 'f32' | 'f16' | 'vec2f' | 'vec2h' | 'vec4f' | 'vec4h';

export const isHalf = (type: string): boolean => /^(f16|vec\dh)$/.test(type);

/** Whatever is baked into a shader; it is the pipeline key together with the file's name. */
export type Constants = Readonly<Record<string, number | boolean | ElementType>>;

export interface Specialised {
  /** WGSL text for the compiler. */
  code: string;
  /** `lines[i]` is the line (from 1) of the shader file that line i (from 0) of `code` came from; 0 for a constant put in front. */
  lines: number[];
}

/**
 * @param file the shader's name, for messages
 * @throws Error with file and line for an unknown name, an unbalanced directive or a constant that is no integer
 */
export function specialise(file: string, source: string, constants: Constants): Specialised {
  const scope = new Map<string, number>();
  const types = Object.entries(constants).filter(([, value]) => typeof value === 'string');
  for (const [name, value] of Object.entries(constants)) {
    if (typeof value === 'string') continue;
    if (typeof value === 'number' && !Number.isInteger(value)) {
      throw new Error(`${file}: constant ${name} is ${value}; only integers and booleans are baked into a shader`);
    }
    scope.set(name, Number(value));
  }
  const out: string[] = [];
  const lines: number[] = [];
  expandBlock(parse(file, source), scope, (text, line) => {
    out.push(text);
    lines.push(line);
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
  lines.splice(front, 0, ...declared.map(() => 0));
  return { code: out.join('\n') + '\n', lines };
}

type Item =
  | { kind: 'text'; text: string; line: number }
  | { kind: 'for'; name: string; from: string; to: string; line: number; file: string; body: Item[] }
  | { kind: 'if'; test: string; line: number; file: string; body: Item[]; otherwise: Item[] }
  | { kind: 'texels'; declared: TexelsDirective; line: number; file: string };

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

function parse(file: string, source: string): Item[] {
  const root: Item[] = [];
  const open: { body: Item[]; item?: Item }[] = [{ body: root }];
  source.split('\n').forEach((raw, index) => {
    const line = index + 1;
    const fail = (why: string) => new Error(`${file}:${line}: ${why}: ${raw.trim()}`);
    const top = open[open.length - 1];
    const directive = /^\s*#(\w+)\s*(.*?)\s*$/.exec(raw);
    if (!directive) {
      top.body.push({ kind: 'text', text: raw, line });
    } else if (directive[1] === 'for') {
      const parts = /^(\w+) in (.+)\.\.(.+)$/.exec(directive[2]);
      if (!parts) throw fail('expected "#for NAME in FROM..TO"');
      const item: Item = { kind: 'for', name: parts[1], from: parts[2], to: parts[3], line, file, body: [] };
      top.body.push(item);
      open.push({ body: item.body, item });
    } else if (directive[1] === 'if') {
      const item: Item = { kind: 'if', test: directive[2], line, file, body: [], otherwise: [] };
      top.body.push(item);
      open.push({ body: item.body, item });
    } else if (directive[1] === 'texels') {
      const declared = texelsDirective(raw);
      if (!declared) throw fail('expected "#texels BINDING NAME ELEMENT" or "#texels BINDING NAME ELEMENT WIDTH"');
      top.body.push({ kind: 'texels', declared, line, file });
    } else if (directive[1] === 'else') {
      if (top.item?.kind !== 'if' || top.body === top.item.otherwise) throw fail('#else without #if');
      top.body = top.item.otherwise;
    } else if (directive[1] === 'end') {
      if (open.length === 1) throw fail('#end without #for or #if');
      open.pop();
    } else {
      throw fail('unknown directive');
    }
  });
  const left = open[open.length - 1].item;
  if (left) throw new Error(`${file}:${left.line}: this #${left.kind} has no #end`);
  return root;
}

function expandBlock(items: Item[], scope: Map<string, number>, emit: (text: string, line: number) => void): void {
  for (const item of items) {
    if (item.kind === 'text') {
      emit(
        item.text.replace(/\$\{([^}]*)\}/g, (_, e: string) => substitute(e, scope, `line ${item.line}`)),
        item.line,
      );
      continue;
    }
    const where = `${item.file}:${item.line}`;
    if (item.kind === 'texels') {
      const width = evaluate(item.declared.width, scope, where);
      if (![1, 2, 4].includes(width)) throw new Error(`${where}: an element of ${width} numbers; it has 1, 2 or 4`);
      const lines = scope.get('TEXELS') ? fromTexture(item.declared, width) : fromBuffer(item.declared, width);
      lines.forEach((text) => emit(text, item.line));
      continue;
    }
    if (item.kind === 'if') {
      expandBlock(evaluate(item.test, scope, where) ? item.body : item.otherwise, scope, emit);
      continue;
    }
    const from = evaluate(item.from, scope, where);
    const to = evaluate(item.to, scope, where);
    for (let i = from; i < to; i++) expandBlock(item.body, new Map(scope).set(item.name, i), emit);
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
