
// ---- layout.js: index, flat position, place in storage and file ---------------------------------------------------------

/** Elements from one index to the next, per axis. */
function stridesOf(tensor) {
  if (tensor.stride) return tensor.stride;
  const strides = new Array(tensor.shape.length);
  let step = 1;
  for (let axis = tensor.shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= Math.max(1, tensor.shape[axis]);
  }
  return strides;
}

/** Position in C order. */
function flatOf(tensor, index) {
  return index.reduce((flat, at, axis) => flat * tensor.shape[axis] + at, 0);
}

function indexOf(tensor, flat) {
  const index = new Array(tensor.shape.length);
  let rest = flat;
  for (let axis = index.length - 1; axis >= 0; axis--) {
    index[axis] = rest % tensor.shape[axis];
    rest = Math.floor(rest / tensor.shape[axis]);
  }
  return index;
}

/** Element of the storage that holds the weight at `index`. */
function elementOf(tensor, index) {
  const strides = stridesOf(tensor);
  return index.reduce((at, i, axis) => at + i * strides[axis], tensor.storage_offset || 0);
}

/** Storage elements that the tensor reaches: from the first to one past the last. */
function reachOf(tensor) {
  const first = tensor.storage_offset || 0;
  if (!tensor.numel) return [first, first];
  return [first, elementOf(tensor, tensor.shape.map((size) => size - 1)) + 1];
}

/**
 * The index of the weight in a storage element, the first one where several share it; `null` where it belongs to none.
 *
 * Axes are tried from the largest stride down: an index along an axis must leave a rest that the smaller ones can reach,
 * which leaves one candidate per axis unless elements overlap; then a search finds the first.
 */
function indexAtElement(tensor, element) {
  const strides = stridesOf(tensor);
  const axes = tensor.shape.map((_, axis) => axis).filter((axis) => tensor.shape[axis] > 1 && strides[axis] > 0)
    .sort((a, b) => strides[b] - strides[a]);
  const reach = new Array(axes.length + 1).fill(0);
  for (let k = axes.length - 1; k >= 0; k--) reach[k] = reach[k + 1] + (tensor.shape[axes[k]] - 1) * strides[axes[k]];
  const index = new Array(tensor.shape.length).fill(0);
  let steps = 0;
  const place = (k, rest) => {
    if (rest < 0 || rest > reach[k] || steps++ > 10000) return false;
    if (k === axes.length) return rest === 0;
    const [size, stride] = [tensor.shape[axes[k]], strides[axes[k]]];
    const least = Math.max(0, Math.ceil((rest - reach[k + 1]) / stride));
    for (let at = Math.min(size - 1, Math.floor(rest / stride)); at >= least; at--) {
      index[axes[k]] = at;
      if (place(k + 1, rest - at * stride)) return true;
    }
    return false;
  };
  return tensor.numel && place(0, element - (tensor.storage_offset || 0)) ? index : null;
}

/** Bits from the start of what is addressed (a file, or a storage where the file has it compressed) to an element. */
function bitOf(tensor, element) {
  return baseOf(tensor) * 8 + element * dtypeOf(tensor).bits;
}

function storageOf(tensor) {
  return tensor.storage === undefined ? null : model.document.storages[tensor.storage];
}

/** Whether places are bytes of the file; else of the storage. */
function isInFile(tensor) {
  const storage = storageOf(tensor);
  return Boolean(storage) && storage.file_offset !== undefined;
}

function baseOf(tensor) {
  return isInFile(tensor) ? storageOf(tensor).file_offset : 0;
}

/** Bytes of an element: first, and one past the last. */
function byteRange(tensor, element) {
  const bit = bitOf(tensor, element);
  return [Math.floor(bit / 8), Math.ceil((bit + dtypeOf(tensor).bits) / 8)];
}

/** The first storage element of the tensor's type in a byte of the file (or storage). */
function elementAtByte(tensor, byte) {
  return Math.floor((byte - baseOf(tensor)) * 8 / dtypeOf(tensor).bits);
}

/** The axes of a tensor: their meaning, and the letter of an index along each. */
function axesOf(tensor) {
  const kind = tensor.kind === undefined ? null : model.document.kinds[tensor.kind];
  if (kind && kind.axes.length === tensor.shape.length) {
    return kind.axes.map(([word, letter]) => ({ word, letter }));
  }
  return tensor.shape.map((_, axis) => ({ word: `axis ${axis}`, letter: `i${axis}` }));
}

/** `((o*3 + i)*5 + y)*5 + x`, for the flat position; strides with their numbers for the place in the storage. */
function flatFormula(tensor) {
  const axes = axesOf(tensor);
  if (!axes.length) return '0';
  return axes.slice(1).reduce((text, axis, number) => {
    const inner = number ? `(${text})` : text;
    return `${inner}·${tensor.shape[number + 1]} + ${axis.letter}`;
  }, axes[0].letter);
}

function storageFormula(tensor) {
  const strides = stridesOf(tensor);
  const terms = axesOf(tensor).map((axis, number) => (strides[number] === 1 ? axis.letter : `${strides[number]}·${axis.letter}`));
  if (tensor.storage_offset) terms.unshift(grouped(tensor.storage_offset));
  return terms.join(' + ') || '0';
}

/** Tensors of each storage, windows of storages counted to their root. */
function tensorsOnStorage(number) {
  if (!model.onStorage) {
    model.onStorage = new Map();
    for (const tensor of model.tensors) {
      if (tensor.storage === undefined) continue;
      const list = model.onStorage.get(tensor.storage);
      if (list) list.push(tensor);
      else model.onStorage.set(tensor.storage, [tensor]);
    }
  }
  return model.onStorage.get(number) || [];
}
