enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// Ceiling of the matrix units for `trimap bench`: each subgroup does LOOPS * LEFTS * RIGHTS products of an M x K and a K x N
// matrix of f16, added up in f32, all operands in registers: 2 * M * N * K floating point operations a product.
// No two accumulators have the same operands, so that the compiler cannot merge them, and each has LEFTS * RIGHTS - 1 others
// between two products of its own, which hides the latency.
//
// seed  LEFTS matrices M x K and RIGHTS matrices K x N, row by row, one after the other; small values, such as 1/64
// y     LEFTS * RIGHTS matrices M x N of f32 a workgroup, assigned, so that the work has a use
// A workgroup is one subgroup of LANES invocations; workgroups are folded over x and y, `count` of them work.
// M, N, K: of adapter.info.subgroupMatrixConfigs with componentType f16 and resultComponentType f32.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> seed: array<f16>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = group.y * groups.x + group.x;
  if (at >= params.count) {
    return;
  }
#for i in 0..LEFTS
  let a${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, K, M>, row_major>(&seed, ${i} * M * K, K);
#end
#for j in 0..RIGHTS
  let b${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, N, K>, row_major>(&seed, LEFTS * M * K + ${j} * K * N, N);
#end
#for i in 0..LEFTS
#for j in 0..RIGHTS
  var c${i}_${j} = subgroup_matrix_result<f32, N, M>();
#end
#end
  for (var l = 0; l < LOOPS; l++) {
#for i in 0..LEFTS
#for j in 0..RIGHTS
    c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});
#end
#end
  }
#for i in 0..LEFTS
#for j in 0..RIGHTS
  subgroupMatrixStore<row_major>(&y, (at * LEFTS * RIGHTS + ${i * RIGHTS + j}) * M * N, c${i}_${j}, N);
#end
#end
}
