// Files that the fixtures are too small for, written as safetensors: an 8-byte length, a JSON header, the bytes.
import { closeSync, openSync, writeSync } from 'node:fs';

/** Writes tensors of shape `[name, sizes]`, float32, with values from a generator of its own. */
export function writeSafetensors(path, tensors, metadata) {
  let at = 0;
  const header = metadata ? { __metadata__: metadata } : {};
  for (const [name, shape] of tensors) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, 'w');
  writeSync(file, length);
  writeSync(file, text);
  const chunk = new Float32Array(1 << 18);
  let state = 1;
  for (let left = at / 4; left > 0; left -= chunk.length) {
    for (let k = 0; k < chunk.length; k++) {
      state = Math.imul(state, 1664525) + 1013904223 | 0;
      chunk[k] = state / 2 ** 33;
    }
    writeSync(file, Buffer.from(chunk.buffer, 0, 4 * Math.min(left, chunk.length)));
  }
  closeSync(file);
}

/** Names and shapes of torchvision's resnet50. */
export function resnet50() {
  const tensors = [];
  const norm = (name, size) => tensors.push(...['weight', 'bias', 'running_mean', 'running_var'].map((last) => [`${name}.${last}`, [size]]));
  tensors.push(['conv1.weight', [64, 3, 7, 7]]);
  norm('bn1', 64);
  let input = 64;
  [3, 4, 6, 3].forEach((blocks, stage) => {
    const width = 64 << stage;
    for (let block = 0; block < blocks; block++) {
      const path = `layer${stage + 1}.${block}`;
      const convolutions = [[width, input, 1, 1], [width, width, 3, 3], [4 * width, width, 1, 1]];
      convolutions.forEach((shape, k) => {
        tensors.push([`${path}.conv${k + 1}.weight`, shape]);
        norm(`${path}.bn${k + 1}`, shape[0]);
      });
      if (block === 0) {
        tensors.push([`${path}.downsample.0.weight`, [4 * width, input, 1, 1]]);
        norm(`${path}.downsample.1`, 4 * width);
      }
      input = 4 * width;
    }
  });
  tensors.push(['fc.weight', [1000, 2048]], ['fc.bias', [1000]]);
  return tensors;
}

/** A great many tensors. */
export function many(count) {
  return Array.from({ length: count }, (_, k) => [`model.layers.${Math.floor(k / 1000)}.experts.${Math.floor(k / 10) % 100}.w${k % 10}`, [2]]);
}

/** Names that would do something if any of them came into the page as anything but text. */
export function hostile() {
  return [['</script><img src=x onerror=alert(1)>', [4, 3, 3, 3]], ['<!--<script>alert(2)</script>', [2]], ['"onmouseover="alert(3)', [2]], ["'><svg onload=alert(4)>", [2, 2]],
    ['javascript:alert(5)', [1]], ['__proto__.polluted', [1]], ['constructor', [1]], ['a\u2028b\u202ec', [1]], ['{{data}}$&$1', [1]], ['..', [1]], ['%E0%A4%A', [3]]];
}
