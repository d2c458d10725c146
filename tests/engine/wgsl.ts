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

test('chooses with else', () => {
  const source = '#if N > 2 && !FAST\nslow\n#else\nfast\n#end';
  assert.match(specialise('a.wgsl', source, { N: 3, FAST: false }).code, 'slow');
  assert.match(specialise('a.wgsl', source, { N: 3, FAST: true }).code, 'fast');
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
