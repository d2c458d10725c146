import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { specialise } from '../../engine/wgsl.js';

const test = suite('wgsl');

test('constants stand in front, after directives', () => {
  const { code, lines } = specialise('a.wgsl', '// contract\nenable subgroups;\nfn f() {}\n', { TILE: 4, WIDE: true });
  assert.is(code, '// contract\nenable subgroups;\nconst TILE = 4;\nconst WIDE = true;\nfn f() {}\n\n');
  assert.equal(lines.slice(0, 5), [1, 2, 0, 0, 3]);
});

test('loops nest, and expressions follow the usual precedence', () => {
  const source = '#for i in 0..N\n#for j in i..N\nlet v${i}_${j} = ${(i + 1) * 10 - j / 2 % 2};\n#end\n#end';
  const { code } = specialise('a.wgsl', source, { N: 2 });
  assert.is(code, 'const N = 2;\nlet v0_0 = 10;\nlet v0_1 = 10;\nlet v1_1 = 20;\n');
});

test('chooses one of two words', () => {
  const source = 'let x = ${N == 8 ? near : far}(1);';
  assert.match(specialise('a.wgsl', source, { N: 8 }).code, 'let x = near(1);');
  assert.match(specialise('a.wgsl', source, { N: 16 }).code, 'let x = far(1);');
});

test('chooses with else', () => {
  const source = '#if N > 2 && !FAST\nslow\n#else\nfast\n#end';
  assert.match(specialise('a.wgsl', source, { N: 3, FAST: false }).code, 'slow');
  assert.match(specialise('a.wgsl', source, { N: 3, FAST: true }).code, 'fast');
});

test('a binding of texels is a buffer or a texture, and read by one function', () => {
  const source = 'fn f() {}\n#texels 2 dy Stored V';
  const buffer = specialise('a.wgsl', source, { V: 2, TEXELS: 0 });
  assert.match(buffer.code, /@binding\(2\) var<storage, read> dy: array<Stored>;\nfn loadDy\(i: u32\) -> vec2f \{/);
  const texture = specialise('a.wgsl', source, { V: 2, TEXELS: 12 });
  assert.match(texture.code, /@binding\(2\) var dy: texture_storage_2d<rgba32float, read>;\nfn loadDy\(i: u32\) -> vec2f \{/);
  assert.ok(texture.lines.slice(3).every((line) => line === 2 || line === 0));
  assert.match(specialise('a.wgsl', '#texels 1 x Quad', { TEXELS: 12 }).code, /loadX\(i: u32\) -> vec4f/);
  assert.throws(() => specialise('a.wgsl', source, { V: 3, TEXELS: 0 }), /a\.wgsl:2: an element of 3 numbers/);
  assert.throws(() => specialise('a.wgsl', '#texels x', {}), /a\.wgsl:1: expected "#texels/);
});

test('errors name file and line', () => {
  const message = (source: string, constants = {}): string => {
    try {
      specialise('a.wgsl', source, constants);
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
  assert.match(message('x', { N: 0.5 }), /only integers/);
});

test.run();
