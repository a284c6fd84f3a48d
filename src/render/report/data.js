
// ---- data.js: the block of data, tensors and their values -------------------------------------------------------------

/** Everything that the page knows; filled by `load`. */
const model = { document: null, tensors: [], values: null, byName: new Map(), modules: new Map(), onStorage: null };

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).text();
}

/** Unpacks the block; values stay packed until one is asked for. */
async function load() {
  const block = JSON.parse(document.getElementById('data').textContent);
  model.document = JSON.parse(await inflate(fromBase64(block.document)));
  model.packed = block.values;
  const { tensors, modules, dtypes } = model.document;
  model.tensors = tensors;
  let at = 0;
  tensors.forEach((tensor, number) => {
    tensor.number = number;
    // the values lie one tensor after the other
    tensor.valuesAt = at;
    at += Math.ceil((tensor.embedded || 0) * dtypes[tensor.dtype].bits / 8);
    if (tensor.part_of !== undefined) {
      // a part is known by its role alone; its tensor's name makes it unique
      tensor.role = tensor.name;
      tensor.name = `${tensors[tensor.part_of].name}\u2009·\u2009${tensor.role}`;
    }
    model.byName.set(tensor.name, tensor);
  });
  for (const module of modules) model.modules.set(module.path, module);
}

function values() {
  if (!model.values) {
    model.values = fromBase64(model.packed);
    model.view = new DataView(model.values.buffer);
    model.packed = null;
  }
  return model.values;
}

function dtypeOf(tensor) {
  return model.document.dtypes[tensor.dtype];
}

function embeddedCount(tensor) {
  return tensor.embedded || 0;
}

/** Whether every index can be computed with: JavaScript's numbers are exact up to 2^53. */
function isAddressable(tensor) {
  return Number.isSafeInteger(tensor.numel * 16) && !tensor.layout
    && [...tensor.shape, ...(tensor.stride || []), tensor.storage_offset || 0].every(Number.isSafeInteger);
}

/** The code of a packed element of less than a byte, the first in the lowest bits. */
function packedCode(start, flat, bits) {
  const byte = values()[start + Math.floor(flat * bits / 8)];
  return byte >> (flat * bits % 8) & (1 << bits) - 1;
}

function float16(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

function bfloat16(bits) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}

/** Readers of types of more than a byte, at a place among the values. */
const READERS = {
  float64: (at) => model.view.getFloat64(at, true),
  float32: (at) => model.view.getFloat32(at, true),
  float16: (at) => float16(model.view.getUint16(at, true)),
  bfloat16: (at) => bfloat16(model.view.getUint16(at, true)),
  complex128: (at) => [READERS.float64(at), READERS.float64(at + 8)],
  complex64: (at) => [READERS.float32(at), READERS.float32(at + 4)],
  complex32: (at) => [READERS.float16(at), READERS.float16(at + 2)],
  bcomplex32: (at) => [READERS.bfloat16(at), READERS.bfloat16(at + 2)],
  int16: (at) => model.view.getInt16(at, true),
  uint16: (at) => model.view.getUint16(at, true),
  bits16: (at) => model.view.getUint16(at, true),
  int32: (at) => model.view.getInt32(at, true),
  qint32: (at) => model.view.getInt32(at, true),
  uint32: (at) => model.view.getUint32(at, true),
  int64: (at) => model.view.getBigInt64(at, true),
  uint64: (at) => model.view.getBigUint64(at, true),
};

/** The element at a flat position: `{ text, number }`; `null` where its value is not embedded. */
function valueAt(tensor, flat) {
  if (!(flat < embeddedCount(tensor))) return null;
  values();
  const { bits, codes } = dtypeOf(tensor);
  const start = tensor.valuesAt;
  if (codes) {
    const code = bits < 8 ? packedCode(start, flat, bits) : model.values[start + flat];
    const text = codes[code];
    const words = { true: 1, false: 0, inf: Infinity, '-inf': -Infinity };
    return { text, number: text in words ? words[text] : parseFloat(text.replace('(', '')) };
  }
  const read = READERS[tensor.dtype](start + flat * bits / 8);
  if (Array.isArray(read)) {
    const [re, im] = read.map((part) => shortest(part, tensor.dtype));
    return { text: `${re}${im.startsWith('-') ? '' : '+'}${im}j`, number: Math.hypot(...read) };
  }
  if (tensor.dtype in FLOATS) return { text: shortest(read, tensor.dtype), number: read };
  return { text: String(read), number: Number(read) };
}

/** The numbers of a run of elements, for pictures; `NaN` where not embedded. */
function numbersOf(tensor, from, to) {
  const end = Math.min(to, embeddedCount(tensor));
  const numbers = new Float64Array(to - from).fill(NaN);
  if (tensor.dtype === 'float32' && end > from) {
    values();
    const start = tensor.valuesAt;
    for (let flat = from; flat < end; flat++) numbers[flat - from] = model.view.getFloat32(start + 4 * flat, true);
    return numbers;
  }
  for (let flat = from; flat < end; flat++) numbers[flat - from] = valueAt(tensor, flat).number;
  return numbers;
}

/** The bytes of an element as the file has them; `null` where they are not embedded, or not what is stored. */
function bytesAt(tensor, flat) {
  const { bits, component } = dtypeOf(tensor);
  if (!(flat < embeddedCount(tensor)) || tensor.lazy || bits < 8) return null;
  const size = bits / 8;
  const start = tensor.valuesAt + flat * size;
  const bytes = Array.from(values().subarray(start, start + size));
  if (model.document.byte_order === 'big') {
    for (let part = 0; part < size; part += component) {
      bytes.splice(part, component, ...bytes.slice(part, part + component).reverse());
    }
  }
  return bytes;
}

/** Largest size of a finite element: the ends of colour scales. */
function largest(tensor) {
  const { figures } = tensor;
  if (figures && figures.min !== null) return Math.max(Math.abs(figures.min), Math.abs(figures.max));
  let most = 0;
  for (const number of numbersOf(tensor, 0, Math.min(embeddedCount(tensor), 100000))) {
    if (Number.isFinite(number)) most = Math.max(most, Math.abs(number));
  }
  return most;
}
