import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readInterface } from '../../engine/pipelines.js';
import { type Constants, type ShaderText, type Specialised, specialise } from '../../engine/wgsl.js';

const test = suite('wgsl');

/** Finds a.wgsl and parts by name. */
const filesOf =
  (source: string, parts: Record<string, string> = {}): ShaderText =>
  (name) => {
    const text = name === 'a' ? source : parts[name.replace(/^parts\//, '')];
    if (text === undefined) throw new Error(`no file ${name}`);
    return text;
  };
const specialised = (source: string, constants: Constants, parts?: Record<string, string>): Specialised =>
  specialise('a', filesOf(source, parts), constants);
const placesOf = ({ lines }: Specialised): string[] => lines.map((at) => (at ? `${at.file}:${at.line}` : 'constant'));

test('constants stand in front, after directives', () => {
  const made = specialised('// contract\nenable subgroups;\nfn f() {}\n', { TILE: 4, WIDE: true });
  assert.is(made.code, '// contract\nenable subgroups;\nconst TILE = 4;\nconst WIDE = true;\nfn f() {}\n\n');
  assert.equal(placesOf(made).slice(0, 5), ['a.wgsl:1', 'a.wgsl:2', 'constant', 'constant', 'a.wgsl:3']);
});

test('loops nest, and expressions follow the usual precedence', () => {
  const source = '#for i in 0..N\n#for j in i..N\nlet v${i}_${j} = ${(i + 1) * 10 - j / 2 % 2};\n#end\n#end';
  const { code } = specialised(source, { N: 2 });
  assert.is(code, 'const N = 2;\nlet v0_0 = 10;\nlet v0_1 = 10;\nlet v1_1 = 20;\n');
});

test('chooses one of two words', () => {
  const source = 'let x = ${N == 8 ? near : far}(1);';
  assert.match(specialised(source, { N: 8 }).code, 'let x = near(1);');
  assert.match(specialised(source, { N: 16 }).code, 'let x = far(1);');
});

test('chooses with else', () => {
  const source = '#if N > 2 && !FAST\nslow\n#else\nfast\n#end';
  assert.match(specialised(source, { N: 3, FAST: false }).code, 'slow');
  assert.match(specialised(source, { N: 3, FAST: true }).code, 'fast');
});

test('a binding of texels is a buffer or a texture, and read by one function', () => {
  const source = 'fn f() {}\n#texels 2 dy Stored V';
  const buffer = specialised(source, { V: 2, TEXELS: 0 });
  assert.match(buffer.code, /@binding\(2\) var<storage, read> dy: array<Stored>;\nfn loadDy\(i: u32\) -> vec2f \{/);
  const texture = specialised(source, { V: 2, TEXELS: 12 });
  assert.match(
    texture.code,
    /@binding\(2\) var dy: texture_storage_2d<rgba32float, read>;\nfn loadDy\(i: u32\) -> vec2f \{/,
  );
  assert.ok(
    placesOf(texture)
      .slice(3)
      .every((at) => at === 'a.wgsl:2'),
  );
  assert.match(specialised('#texels 1 x Quad', { TEXELS: 12 }).code, /loadX\(i: u32\) -> vec4f/);
  assert.throws(() => specialised(source, { V: 3, TEXELS: 0 }), /a\.wgsl:2: an element of 3 numbers/);
  assert.throws(() => specialised('#texels x', {}), /a\.wgsl:1: expected "#texels/);
});

test('a part stands where it is included, with the constants and loop variables of that place', () => {
  const parts = { twice: '#if i > 0\nlet x${i} = ${2 * N};\n#end\n#include inner\n', inner: 'inner${i}\n' };
  const made = specialised('#for i in 0..N\n#include twice\n#end\nlast', { N: 2 }, parts);
  assert.is(made.code, 'const N = 2;\ninner0\nlet x1 = 4;\ninner1\nlast\n');
  const inner = 'parts/inner.wgsl:1';
  assert.equal(placesOf(made), ['constant', inner, 'parts/twice.wgsl:2', inner, 'a.wgsl:4']);
});

test('a part declares fields of Params, bindings and texels as the shader itself does', () => {
  const binding = '@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;';
  const parts = { fields: '// of both\n  height: u32,\n  pad: i32,\n', images: `#texels 1 x Quad\n${binding}\n` };
  const files = filesOf('struct Params {\n#include fields\n  depth: f32,\n}\n#include images\n', parts);
  const { params, storage } = readInterface('a', files);
  const [height, pad, depth] = ['u32', 'i32', 'f32'];
  assert.equal(Object.fromEntries(params.map(({ name, type }) => [name, type])), { height, pad, depth });
  assert.equal(storage.get('x'), { binding: 1, writable: false, element: 'Quad' });
  assert.equal(storage.get('y'), { binding: 2, writable: true, element: 'vec4f' });
  assert.match(specialise('a', files, { TEXELS: 12 }).code, '@binding(1) var x: texture_storage_2d');
});

test('errors name file and line', () => {
  const message = (source: string, constants = {}, parts = {}): string => {
    try {
      specialised(source, constants, parts);
    } catch (error) {
      return (error as Error).message;
    }
    return 'no error';
  };
  assert.match(message('x\n#for i in 0..MISSING\n#end'), /a\.wgsl:2: unknown name MISSING/);
  assert.match(message('x\n#if 1\ny'), /a\.wgsl:2: this #if has no #end/);
  assert.match(message('#end'), /a\.wgsl:1: #end without/);
  assert.match(message('#else'), /a\.wgsl:1: #else without #if/);
  assert.match(message('#unroll'), /a\.wgsl:1: unknown directive/);
  assert.match(message('x', { N: 0.5 }), /a\.wgsl: constant N is 0\.5; only integers/);
  assert.match(message('x${1 +}'), /a\.wgsl:1: the expression ends too early/);
  assert.match(message('x\n#include part', {}, { part: 'y\n${MISSING}' }), /parts\/part\.wgsl:2: unknown name MISSING/);
  assert.match(message('x\n#include none'), /a\.wgsl:2: cannot read shaders\/parts\/none\.wgsl: .*no file parts\/none/);
  assert.match(message('#include one two'), /a\.wgsl:1: expected "#include NAME"/);
});

test('a part neither includes itself nor ends what another file began', () => {
  const message = (part: string): RegExp => new RegExp(`parts/part\\.wgsl:${part}`);
  const of = (source: string, parts: Record<string, string>) => () => specialised(source, {}, parts);
  assert.throws(
    of('#include part', { part: 'x\n#include part' }),
    message('2: shaders/parts/part.wgsl includes itself'),
  );
  const circle = { part: '#include other', other: '\n#include part' };
  assert.throws(of('#include part', circle), /parts\/other\.wgsl:2: shaders\/parts\/part\.wgsl includes itself/);
  assert.throws(of('#if 1\n#include part', { part: 'x\n#end' }), message('2: a.wgsl:1 began this'));
  assert.throws(of('#if 1\n#include part\n#end', { part: '#else' }), message('1: a.wgsl:1 began this'));
  assert.throws(of('#include part\n#end', { part: '#if 1' }), /a\.wgsl:2: parts\/part\.wgsl:1 began this/);
  assert.throws(of('#include part', { part: '#if 1' }), message('1: this #if has no #end'));
  assert.is(specialised('#include part\n#include part', {}, { part: 'x\n' }).code, 'x\nx\n');
});

test.run();
