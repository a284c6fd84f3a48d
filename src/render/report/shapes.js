
// ---- shapes.js: sizes through layers, with the formula filled in -------------------------------------------------------------

/** One number for all axes, or one per axis. */
function perAxis(value, dims, usual) {
  if (value === undefined || value === null) return new Array(dims).fill(usual);
  if (Array.isArray(value)) return value.length === 1 ? new Array(dims).fill(value[0]) : value.map(Number);
  return new Array(dims).fill(Number(value));
}

/** What is wrong with an input for a layer; shown in the walk's place for its output. */
class Misfit extends Error {}

/** Spatial sizes of an input of `dims` spatial axes: [sizes before them, spatial sizes]. */
function spatial(input, dims) {
  if (input.length !== dims + 2 && input.length !== dims + 1) throw new Misfit(`needs ${dims + 2} sizes (N, C${', ·'.repeat(dims)}), got ${input.length}`);
  return [input.slice(0, -dims), input.slice(-dims)];
}

/**
 * One axis of a convolution or pooling: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
 * Returns the output size, the formula with its numbers, and the rows that no window reads.
 */
function windowed(size, { kernel, stride, padding, dilation, ceil }) {
  const [before, after] = padding;
  const reach = dilation * (kernel - 1) + 1;
  const padded = size + before + after;
  if (padded < reach) throw new Misfit(`the kernel spans ${reach}, the padded input only ${padded}`);
  const room = padded - reach;
  let output = (ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  // PyTorch: the last window of a ceiled pooling must begin inside the input or its left padding
  if (ceil && (output - 1) * stride >= size + before) output--;
  const pads = before + after ? ` + ${before + after}` : '';
  const taps = dilation > 1 ? `${dilation}·(${kernel} − 1)` : `(${kernel} − 1)`;
  const [open, close] = ceil ? ['⌈', '⌉'] : ['⌊', '⌋'];
  const formula = `${open}(${size}${pads} − ${taps} − 1) / ${stride}${close} + 1 = ${output}`;
  return { output, formula, unread: ceil ? 0 : room % stride };
}

/** Padding of a convolution as pairs per axis. */
function paddingPairs(padding, kernel, dilation, stride) {
  if (padding === 'valid') return kernel.map(() => [0, 0]);
  if (padding === 'same') {
    if (stride.some((step) => step !== 1)) throw new Misfit("padding 'same' needs stride 1");
    return kernel.map((size, axis) => {
      const reach = dilation[axis] * (size - 1);
      return [Math.floor(reach / 2), reach - Math.floor(reach / 2)];
    });
  }
  return perAxis(padding, kernel.length, 0).map((size) => [size, size]);
}

/** A convolution by its arguments; `weights` and `bias` are counts of parameters. */
function convolve(input, conv) {
  const dims = conv.kernel.length;
  const [lead, size] = spatial(input, dims);
  const channels = lead[lead.length - 1];
  if (channels !== conv.inChannels) throw new Misfit(`takes ${count(conv.inChannels, 'channel')}, the input has ${channels}`);
  const padding = paddingPairs(conv.padding, conv.kernel, conv.dilation, conv.stride);
  const axes = size.map((from, axis) => {
    const [kernel, stride, dilation] = [conv.kernel[axis], conv.stride[axis], conv.dilation[axis]];
    if (!conv.transposed) return windowed(from, { kernel, stride, dilation, padding: padding[axis], ceil: false });
    const extra = (conv.outputPadding || [])[axis] || 0;
    const output = (from - 1) * stride - 2 * padding[axis][0] + dilation * (kernel - 1) + extra + 1;
    if (output < 1) throw new Misfit('the padding takes away the whole output');
    return { output, unread: 0, formula: `(${from} − 1)·${stride} − ${2 * padding[axis][0]} + ${dilation}·(${kernel} − 1) + ${extra} + 1 = ${output}` };
  });
  const output = [...lead.slice(0, -1), conv.outChannels, ...axes.map((axis) => axis.output)];
  const taps = conv.kernel.reduce((a, b) => a * b, 1) * conv.inChannels / conv.groups;
  const sites = (conv.transposed ? size : axes.map((axis) => axis.output)).reduce((a, b) => a * b, 1);
  const batch = lead.length > 1 ? lead[0] : 1;
  return { output, axes, macs: batch * sites * taps * conv.outChannels };
}

/** The convolution of a weight's tensor and what the file (or the user) says of its arguments. */
function convolutionOf(tensor, said) {
  const { shape, conv } = tensor;
  const { groups } = said || conv;
  const { transposed } = conv;
  return {
    transposed, groups, kernel: shape.slice(2),
    inChannels: transposed ? shape[0] : shape[1] * groups, outChannels: transposed ? shape[1] * groups : shape[0],
    stride: (said || conv).stride, padding: (said || conv).padding, dilation: (said || conv).dilation, outputPadding: conv.output_padding,
  };
}

const KEEPS = new Set(['ReLU', 'ReLU6', 'LeakyReLU', 'PReLU', 'ELU', 'SELU', 'CELU', 'GELU', 'SiLU', 'Mish', 'Sigmoid', 'Tanh', 'Hardswish', 'Hardsigmoid',
  'Hardtanh', 'Softplus', 'Softsign', 'Softmax', 'LogSoftmax', 'Softmax2d', 'Dropout', 'Dropout1d', 'Dropout2d', 'Dropout3d', 'AlphaDropout', 'Identity',
  'LocalResponseNorm', 'LayerNorm', 'GroupNorm', 'Threshold', 'LogSigmoid', 'Tanhshrink', 'Softshrink', 'Hardshrink', 'RReLU']);

/** What a module does to a shape: `{ output, note, macs }`; `null` where its class does not tell. */
function throughModule(module, input) {
  const name = module.class.split('.').pop();
  const at = module.attributes;
  const isTorch = /^(torch\.nn\.|__torch__\.torch\.nn\.)/.test(module.class);
  if (!isTorch) return null;
  if (KEEPS.has(name)) return { output: input, note: 'keeps the shape' };
  const conv = /^Conv(Transpose)?([123])d$/.exec(name);
  if (conv) return throughConvolution(module, input);
  const pool = /^(Max|Avg|LP)Pool([123])d$/.exec(name);
  if (pool) return throughPool(at, Number(pool[2]), input);
  const adaptive = /^Adaptive(Max|Avg)Pool([123])d$/.exec(name);
  if (adaptive) {
    const [lead, size] = spatial(input, Number(adaptive[2]));
    const wanted = Array.isArray(at.output_size) ? at.output_size : size.map(() => at.output_size);
    return { output: [...lead, ...wanted.map((target, axis) => (target === null ? size[axis] : target))], note: 'averages whatever comes to this size' };
  }
  if (/^(Sync)?BatchNorm/.test(name) || /^InstanceNorm/.test(name)) {
    if (at.num_features !== undefined && input[1] !== at.num_features) throw new Misfit(`takes ${count(at.num_features, 'channel')}, the input has ${input[1]}`);
    return { output: input, note: 'keeps the shape' };
  }
  if (name === 'Linear') return throughLinear(module, input);
  if (name === 'Flatten') return flatten(input, at.start_dim === undefined ? 1 : at.start_dim, at.end_dim === undefined ? -1 : at.end_dim);
  return null;
}

function throughConvolution(module, input) {
  const tensor = model.byName.get(module.path ? `${module.path}.weight` : 'weight');
  // without stride and padding from the file nothing is known of the output
  if (!tensor || !tensor.conv || !tensor.conv.in_file) return null;
  const found = convolve(input, convolutionOf(tensor));
  return { ...found, note: found.axes.map((axis) => axis.formula) };
}

function throughPool(at, dims, input) {
  if (at.kernel_size === undefined) return null;
  const [lead, size] = spatial(input, dims);
  const kernel = perAxis(at.kernel_size, dims, 1);
  const stride = perAxis(Array.isArray(at.stride) && !at.stride.length ? null : at.stride === null ? undefined : at.stride, dims, null)
    .map((step, axis) => (step === null ? kernel[axis] : step));
  const dilation = perAxis(at.dilation, dims, 1);
  const padding = perAxis(at.padding, dims, 0);
  const axes = size.map((from, axis) => windowed(from, {
    kernel: kernel[axis], stride: stride[axis], dilation: dilation[axis], padding: [padding[axis], padding[axis]], ceil: at.ceil_mode === true,
  }));
  return { output: [...lead, ...axes.map((axis) => axis.output)], axes, note: axes.map((axis) => axis.formula) };
}

function throughLinear(module, input) {
  const tensor = model.byName.get(module.path ? `${module.path}.weight` : 'weight');
  if (!tensor || tensor.shape.length !== 2) return null;
  const [outputs, inputs] = tensor.shape;
  if (input[input.length - 1] !== inputs) throw new Misfit(`takes ${grouped(inputs)} features, the input has ${grouped(input[input.length - 1])}`);
  const before = input.slice(0, -1);
  return { output: [...before, outputs], note: `${inputs} features to ${outputs}`, macs: before.reduce((a, b) => a * b, 1) * inputs * outputs };
}

function flatten(input, first, last) {
  const from = first < 0 ? first + input.length : first;
  const to = last < 0 ? last + input.length : last;
  const joined = input.slice(from, to + 1);
  const size = joined.reduce((a, b) => a * b, 1);
  return { output: [...input.slice(0, from), size, ...input.slice(to + 1)], note: `${joined.join(' · ')} = ${size}` };
}

/**
 * Chains of modules that run one after the other: `nn.Sequential`s, the inner ones as part of the outer. An exported
 * program names only the modules that hold tensors, so that its chains have gaps.
 */
function sequentials() {
  const { modules, format } = model.document;
  if (format === 'torch-export') return [];
  const isChain = (module) => /(^|\.)torch\.nn\.modules\.container\.Sequential$/.test(module.class);
  const inside = new Set();
  const chains = [];
  const childrenOf = new Map();
  for (const module of modules) {
    const cut = module.path.lastIndexOf('.');
    const parent = module.path === '' ? null : cut < 0 ? '' : module.path.slice(0, cut);
    if (parent === null) continue;
    if (!childrenOf.has(parent)) childrenOf.set(parent, []);
    childrenOf.get(parent).push(module);
  }
  const unroll = (module) => (childrenOf.get(module.path) || []).flatMap((child) => {
    if (!isChain(child)) return [child];
    inside.add(child.path);
    return unroll(child);
  });
  for (const module of modules) {
    if (isChain(module) && !inside.has(module.path)) chains.push({ path: module.path, steps: unroll(module) });
  }
  return chains.filter((chain) => chain.steps.length > 1);
}

/** The walk of an input through a chain: one row per step; the last one may hold a `problem`. */
function walk(chain, input) {
  const rows = [];
  let shape = input;
  for (const module of chain.steps) {
    try {
      const found = throughModule(module, shape);
      if (!found) {
        rows.push({ module, problem: `what a ${module.class.split('.').pop()} does to a shape is in its code, not in the file`, isUnknown: true });
        break;
      }
      rows.push({ module, input: shape, ...found });
      shape = found.output;
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      rows.push({ module, input: shape, problem: error.message });
      break;
    }
  }
  return rows;
}

/** Square inputs up to 1024 that come through as far as any does: from, to, and how many. */
function fittingSizes(chain, input, dims) {
  const depth = (size) => {
    const rows = walk(chain, [...input.slice(0, input.length - dims), ...new Array(dims).fill(size)]);
    const last = rows[rows.length - 1];
    return last && last.problem && !last.isUnknown ? rows.length - 1 : rows.length;
  };
  let best = 0;
  let fits = [];
  for (let size = 1; size <= 1024; size++) {
    const reached = depth(size);
    if (reached > best) [best, fits] = [reached, []];
    if (reached === best) fits.push(size);
  }
  return { reached: best, fits };
}

/** The spatial axes of the first layer that has any; 0: the chain takes features. */
function spatialAxes(chain) {
  for (const module of chain.steps) {
    const found = /(Conv|ConvTranspose|Pool)([123])d$/.exec(module.class);
    if (found) return Number(found[2]);
    if (/Linear$/.test(module.class)) return 0;
  }
  return 0;
}

/** An input that comes through, in a size that people use where one does. */
function usualInput(chain) {
  const dims = spatialAxes(chain);
  const weight = chain.steps.map((module) => model.byName.get(module.path ? `${module.path}.weight` : 'weight')).find((tensor) => tensor && tensor.shape.length > 1);
  if (!dims) return [1, weight ? weight.shape[1] : 1];
  const channels = weight && weight.conv ? convolutionOf(weight).inChannels : 3;
  const start = [1, channels, ...new Array(dims).fill(1)];
  const { fits } = fittingSizes(chain, start, dims);
  const size = [224, 32, 28, 64, 299, 128].find((usual) => fits.includes(usual)) || fits[0] || 32;
  return [1, channels, ...new Array(dims).fill(size)];
}

/** `1,3,224,224` as numbers; `null` where it is none. */
function parseSizes(text) {
  const numbers = text.trim().split(/[\s,×x]+/).filter(Boolean).map(Number);
  return numbers.length && numbers.every((number) => Number.isSafeInteger(number) && number > 0 && number < 1e9) ? numbers : null;
}

/** A chain with its input field. */
function chainPart(chain) {
  const body = el('tbody', {});
  const verdict = el('p', { class: 'verdict', 'aria-live': 'polite' });
  const dims = spatialAxes(chain);
  const update = (text) => {
    const sizesIn = parseSizes(text);
    field.classList.toggle('wrong', !sizesIn);
    field.setAttribute('aria-invalid', String(!sizesIn));
    if (!sizesIn) {
      verdict.textContent = 'Sizes are whole numbers with commas between them: 1,3,224,224.';
      return;
    }
    const rows = walk(chain, sizesIn);
    fill(body, ...rows.map(walkRow));
    const last = rows[rows.length - 1];
    const total = rows.reduce((sum, row) => sum + (row.macs || 0), 0);
    verdict.className = `verdict ${last && last.problem ? 'bad' : 'good'}`;
    if (last && last.problem) {
      fill(verdict, el('strong', {}, last.isUnknown ? 'It ends here: ' : `Breaks at ${visible(last.module.path)}: `), last.problem, last.isUnknown ? '' : fitWords(chain, sizesIn, dims));
    } else {
      verdict.textContent = `${sizesIn.join(' × ')} → ${last ? last.output.join(' × ') : ''}; ${grouped(total)} multiply-adds.`;
    }
  };
  const field = el('input', { type: 'text', class: 'sizes', spellcheck: 'false', value: usualInput(chain).join(','), oninput: (event) => update(event.target.value) });
  const table = el('div', { class: 'scroll' }, el('table', { class: 'walk' },
    el('thead', {}, el('tr', {}, ['layer', 'is', 'sizes', 'output', 'parameters', 'multiply-adds'].map((text) => el('th', { scope: 'col' }, text)))), body));
  update(field.value);
  return el('div', { class: 'chain' }, el('h3', {}, visible(chain.path) || 'the whole model'), el('div', { class: 'controls' }, el('label', {}, 'input ', field)), verdict, table);
}

function fitWords(chain, input, dims) {
  if (!dims || input.length < dims + 1) return '';
  const { reached, fits } = fittingSizes(chain, input, dims);
  if (!fits.length || reached === 0) return '. No square input with these channels fits.';
  const end = reached === chain.steps.length ? '' : ' as far as any does';
  const isRun = fits[fits.length - 1] - fits[0] + 1 === fits.length;
  const list = fits.length === 1 ? `only ${fits[0]}` : isRun ? (fits[fits.length - 1] === 1024 ? `every size from ${fits[0]}` : `${fits[0]} to ${fits[fits.length - 1]}`) : fits.slice(0, 12).join(', ') + (fits.length > 12 ? ', …' : '');
  return `. Square inputs that come through${end}: ${list}.`;
}

function walkRow(row) {
  const own = model.tensors.filter((tensor) => tensor.node && tensor.node.parent && tensor.node.parent.name === row.module.path && tensor.part_of === undefined && /(weight|bias)$/.test(tensor.name));
  const parameters = row.module.path === '' ? 0 : own.reduce((sum, tensor) => sum + tensor.numel, 0);
  const notes = Array.isArray(row.note) ? [...new Set(row.note)] : [row.note];
  const unread = (row.axes || []).map((axis) => axis.unread).filter(Boolean);
  return el('tr', { class: row.problem ? 'bad' : null }, el('th', { scope: 'row' }, layerLink(row.module.path)), el('td', {}, visible(row.module.text)),
    el('td', { class: 'formula' }, row.problem || notes.filter(Boolean).map((note) => el('div', {}, note)), unread.length > 0 && el('small', {}, `the stride leaves ${unread.join(' and ')} at the end unread`)),
    el('td', { class: 'num' }, row.output ? row.output.join(' × ') : '✗'), el('td', { class: 'num' }, parameters ? grouped(parameters) : ''), el('td', { class: 'num' }, row.macs ? grouped(row.macs) : ''));
}

/** The name of a layer as a link to its weight, where it has one. */
function layerLink(path) {
  const tensor = model.byName.get(path ? `${path}.weight` : 'weight');
  return tensor ? tensorLink(tensor, path) : visible(path);
}

/** For one convolution: its output for an input, arguments changeable where the file does not tell them. */
function convolutionPart(tensor) {
  const dims = tensor.shape.length - 2;
  const said = { ...tensor.conv };
  const base = convolutionOf(tensor);
  const spatialGuess = Math.max(32, ...tensor.shape.slice(2));
  const input = el('input', { type: 'text', class: 'sizes', spellcheck: 'false', value: [1, base.inChannels, ...new Array(dims).fill(spatialGuess)].join(',') });
  const words = { padding: Array.isArray(said.padding) ? said.padding.join(',') : said.padding, stride: said.stride.join(','), dilation: said.dilation.join(','), groups: String(said.groups) };
  const fields = Object.entries(words).map(([name, value]) => [name, el('input', { type: 'text', class: 'short', spellcheck: 'false', value, disabled: tensor.conv.in_file })]);
  const out = el('div', { class: 'result', 'aria-live': 'polite' });
  const picture = el('div', {});
  const read = (name, text) => {
    if (name === 'padding' && /^(same|valid)$/.test(text.trim())) return text.trim();
    const numbers = text.split(/[\s,]+/).filter(Boolean).map(Number);
    const least = name === 'padding' ? 0 : 1;
    if (!numbers.length || !numbers.every((number) => Number.isSafeInteger(number) && number >= least)) throw new Misfit(`${name} is no whole number`);
    if (name === 'groups') return numbers[0];
    if (numbers.length !== 1 && numbers.length !== dims) throw new Misfit(`${name} needs 1 or ${dims} numbers`);
    return perAxis(numbers, dims, 0);
  };
  const update = () => {
    fill(out);
    fill(picture);
    try {
      for (const [name, field] of fields) said[name] = read(name, field.value);
      const shape = parseSizes(input.value);
      if (!shape) throw new Misfit('the input is no list of sizes');
      const conv = convolutionOf(tensor, said);
      if ((conv.transposed ? conv.inChannels : conv.outChannels) % conv.groups) throw new Misfit(`${conv.outChannels} filters cannot form ${conv.groups} groups`);
      const found = convolve(shape, conv);
      const unread = found.axes.map((axis) => axis.unread);
      out.append(el('p', { class: 'verdict good' }, el('strong', {}, found.output.join(' × '))),
        facts([...found.axes.map((axis, k) => [['height', 'width', 'depth'].slice(dims === 1 ? 1 : 0)[dims === 3 ? [2, 0, 1][k] : k], el('code', {}, axis.formula)]),
          ['multiply-adds', grouped(found.macs)], unread.some(Boolean) && ['unread', `${unread.join(', ')} at the end of each axis: the stride steps over`]]));
      if (dims === 2 && !conv.transposed) picture.append(tapsPicture(shape.slice(-2), conv));
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      out.append(el('p', { class: 'verdict bad' }, `This input does not fit: ${error.message}.`));
    }
  };
  for (const [, field] of fields) field.addEventListener('input', update);
  input.addEventListener('input', update);
  update();
  return el('div', { class: 'convolution' }, el('div', { class: 'controls' }, el('label', {}, 'input ', input), fields.map(([name, field]) => el('label', {}, `${name} `, field))),
    tensor.conv.in_file ? null : el('p', { class: 'note' }, 'A state dict does not store these arguments: what stands here are PyTorch’s defaults. Change them to what the model’s code says.'), out, picture);
}

/** Which input pixels the first two output pixels read; padding hatched. */
function tapsPicture([height, width], conv) {
  const padding = paddingPairs(conv.padding, conv.kernel, conv.dilation, conv.stride);
  const reach = conv.kernel.map((size, axis) => conv.dilation[axis] * (size - 1) + 1);
  const [top, left] = [padding[0][0], padding[1][0]];
  const rows = Math.min(height + top + padding[0][1], Math.max(reach[0] + 2, top + 4));
  const columns = Math.min(width + left + padding[1][1], Math.max(reach[1] + conv.stride[1] + 2, left + 6));
  if (rows > 40 || columns > 40) return el('p', { class: 'note' }, 'The kernel is too large for a picture of its taps.');
  const cell = 14;
  const isTap = (row, column, from) => row % conv.dilation[0] === 0 && (column - from) % conv.dilation[1] === 0 && row < reach[0] && column >= from && column < from + reach[1];
  const squares = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const isPadding = row < top || column < left || row >= top + height || column >= left + width;
      const first = isTap(row, column, 0);
      const second = isTap(row, column, conv.stride[1]);
      squares.push(svg('rect', { x: column * cell + 1, y: row * cell + 1, width: cell - 2, height: cell - 2, rx: 2, class: `pixel${isPadding ? ' padding' : ''}${first ? ' tap' : ''}` }),
        second && svg('circle', { cx: column * cell + cell / 2, cy: row * cell + cell / 2, r: 2.6, class: 'next' }));
    }
  }
  return el('figure', { class: 'taps' }, svg('svg', { viewBox: `0 0 ${columns * cell} ${rows * cell}`, width: columns * cell, height: rows * cell, role: 'img',
    'aria-label': `Input pixels that output pixel 0, 0 reads: ${conv.kernel.join(' by ')} taps, ${conv.dilation.join(' by ')} apart, from row ${-top}, column ${-left}` }, squares),
  el('figcaption', { class: 'note' }, 'The upper left corner of the padded input: tinted what output pixel (0, 0) reads, dots what (0, 1) reads, dashed the padding.'));
}
