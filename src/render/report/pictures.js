
// ---- pictures.js: filters as pictures, histograms, norms --------------------------------------------------------------------

/** Most pixels of a picture that is drawn: what is beyond is reached by the explorer. */
const TILES = 4096;

/** How the filters of a convolution are drawn. */
class Filters {
  constructor(tensor, pick) {
    Object.assign(this, { tensor, pick });
    const { shape } = tensor;
    [this.filters, this.channels] = shape;
    [this.rows, this.columns] = shape.length >= 4 ? shape.slice(-2) : [1, shape[2]];
    this.planes = shape.length === 5 ? shape[2] : 1;
    this.perFilter = tensor.numel / Math.max(1, this.filters);
    this.embedded = Math.floor(embeddedCount(tensor) / Math.max(1, this.perFilter));
    // where only a few filters are here, all that is of them
    this.mode = this.channels === 3 && this.planes === 1 ? 'rgb' : this.embedded < 16 && this.channels > 1 ? 'all' : 'channel';
    this.channel = 0;
    this.byNorm = false;
    this.ownScale = false;
    this.cursor = 0;
    this.canvas = el('canvas', {
      class: 'filters', tabindex: 0, role: 'img', onkeydown: (event) => this.keys(event),
      onpointermove: (event) => this.hover(event), onpointerleave: () => this.say(null), onclick: (event) => this.click(event),
    });
    this.words = el('p', { class: 'note under', 'aria-live': 'polite' });
    this.scale = el('div', {});
    this.node = el('div', { class: 'pictures' }, this.controls(), this.canvas, this.words, this.scale);
    new ResizeObserver(() => this.node.isConnected && this.width !== this.node.clientWidth && this.draw()).observe(this.node);
  }

  controls() {
    const choose = (label, options, value, set) => el('label', {}, `${label} `, el('select', {
      onchange: (event) => {
        set(event.target.value);
        this.draw();
      },
    }, options.map(([key, text]) => el('option', { value: key, selected: key === value }, text))));
    const flag = (label, name) => el('label', {}, el('input', {
      type: 'checkbox', onchange: (event) => {
        this[name] = event.target.checked;
        this.draw();
      },
    }), ` ${label}`);
    const channels = Array.from({ length: Math.min(this.channels * this.planes, 512) }, (_, k) => [String(k), this.planes > 1 ? `${Math.floor(k / this.planes)}, plane ${k % this.planes}` : String(k)]);
    return el('div', { class: 'controls' },
      this.mode === 'rgb' && choose('show', [['rgb', 'as RGB'], ['channel', 'one channel'], ['all', 'all channels']], this.mode, (mode) => { this.mode = mode; }),
      this.mode !== 'rgb' && this.channels * this.planes > 1 && choose('show', [['channel', 'one channel'], ['all', 'all channels']], this.mode, (mode) => { this.mode = mode; }),
      this.channels * this.planes > 1 && choose('channel', channels, '0', (channel) => { this.channel = Number(channel); }),
      flag('largest norm first', 'byNorm'), flag('a scale for each', 'ownScale'));
  }

  /** The pictures to draw: filter and channel of each, in their order. */
  order() {
    const filters = Array.from({ length: this.embedded }, (_, filter) => filter);
    if (this.byNorm) {
      const norms = filters.map((filter) => Math.sqrt(this.values(filter).reduce((sum, value) => sum + (Number.isFinite(value) ? value * value : 0), 0)));
      filters.sort((a, b) => norms[b] - norms[a]);
    }
    if (this.mode !== 'all') return filters.map((filter) => [filter, this.channel]);
    const channels = Array.from({ length: this.channels * this.planes }, (_, channel) => channel);
    return filters.flatMap((filter) => channels.map((channel) => [filter, channel]));
  }

  values(filter) {
    return numbersOf(this.tensor, filter * this.perFilter, (filter + 1) * this.perFilter);
  }

  draw() {
    this.width = this.node.clientWidth;
    const all = this.order();
    this.tiles = all.slice(0, TILES);
    const room = roomIn(this.node);
    const wanted = this.tiles.length > 600 ? 20 : this.tiles.length > 150 ? 32 : 52;
    this.pixel = Math.max(this.tiles.length > 600 ? 2 : 3, Math.floor(wanted / Math.max(this.rows, this.columns)));
    this.step = [this.pixel * this.columns + 4, this.pixel * this.rows + 4];
    // all channels of a filter stay on one line where they fit
    const most = Math.max(1, Math.floor((room - 4) / this.step[0]));
    const group = this.mode === 'all' ? this.channels * this.planes : 1;
    this.perLine = group > 1 && group <= most ? most - most % group : most;
    const lines = Math.ceil(this.tiles.length / this.perLine);
    const context = sharpen(this.canvas, Math.min(this.perLine, Math.max(1, this.tiles.length)) * this.step[0], Math.max(1, lines) * this.step[1]);
    const shared = largest(this.tensor);
    let lastFilter = -1;
    let numbers = null;
    this.tiles.forEach(([filter, channel], number) => {
      if (filter !== lastFilter) numbers = this.values(filter);
      lastFilter = filter;
      this.tile(context, number, numbers, channel, shared);
    });
    this.mark(context);
    fill(this.scale, this.mode === 'rgb'
      ? el('p', { class: 'note' }, `Red, green and blue are the weights of channels 0, 1 and 2: ${this.ownScale ? 'from the least to the most of each filter' : `mid-grey is 0, full colour ±${figure(shared)}`}.`)
      : this.ownScale ? el('p', { class: 'note' }, 'Each picture has its own scale: blue is negative, orange positive, its largest size in full colour.') : legend(shared, this.tensor.dtype));
    this.say(null);
    const drawn = all.length > TILES ? `, the first ${grouped(TILES)} pictures drawn` : '';
    this.canvas.setAttribute('aria-label', `${this.embedded} of ${this.filters} filters as pictures${drawn}; arrow keys move, Enter shows a filter in the layout explorer`);
  }

  place(number) {
    return [number % this.perLine * this.step[0] + 2, Math.floor(number / this.perLine) * this.step[1] + 2];
  }

  tile(context, number, numbers, channel, shared) {
    const [left, top] = this.place(number);
    const area = this.rows * this.columns;
    const own = () => numbers.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
    const most = this.ownScale ? own() : shared;
    for (let at = 0; at < area; at++) {
      let colour;
      if (this.mode === 'rgb') {
        colour = [0, 1, 2].map((c) => Math.round(255 * (0.5 + Math.max(-1, Math.min(1, numbers[c * area + at] / (most || 1))) / 2) || 0));
      } else {
        colour = colourOf(numbers[channel * area + at], most) || [128, 0, 128];
      }
      context.fillStyle = css(colour);
      context.fillRect(left + at % this.columns * this.pixel, top + Math.floor(at / this.columns) * this.pixel, this.pixel, this.pixel);
    }
  }

  /** A frame around the chosen picture. */
  mark(context) {
    const [left, top] = this.place(this.cursor);
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue('--accent');
    context.lineWidth = 2;
    context.strokeRect(left - 1, top - 1, this.step[0] - 2, this.step[1] - 2);
  }

  tileAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const number = Math.floor(y / this.step[1]) * this.perLine + Math.floor(x / this.step[0]);
    const [left, top] = this.place(number);
    const column = Math.max(0, Math.min(this.columns - 1, Math.floor((x - left) / this.pixel)));
    const row = Math.max(0, Math.min(this.rows - 1, Math.floor((y - top) / this.pixel)));
    return this.tiles[number] ? { number, index: this.index(number, row, column) } : null;
  }

  index(number, row, column) {
    const [filter, channel] = this.tiles[number];
    const lead = this.planes > 1 ? [filter, Math.floor(channel / this.planes), channel % this.planes] : [filter, channel];
    return this.tensor.shape.length >= 4 ? [...lead, row, column] : [...lead, column];
  }

  say(hit) {
    const rest = this.embedded < this.filters ? `The first ${grouped(this.embedded)} of ${grouped(this.filters)} filters are in this page. ` : '';
    if (!hit) {
      this.words.textContent = `${rest}Point at a picture; a click, or Enter, shows it below.`;
      return;
    }
    const value = valueAt(this.tensor, flatOf(this.tensor, hit.index));
    this.words.textContent = `filter ${hit.index[0]}: [${hit.index.join(', ')}] = ${value ? value.text : 'not embedded'}`;
  }

  hover(event) {
    this.say(this.tileAt(event));
  }

  click(event) {
    const hit = this.tileAt(event);
    if (!hit) return;
    this.cursor = hit.number;
    this.draw();
    this.say(hit);
    this.pick(hit.index, false);
  }

  keys(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.perLine, ArrowUp: -this.perLine }[event.key];
    if (event.key === 'Enter' && this.tiles.length) {
      this.pick(this.index(this.cursor, 0, 0), true);
    } else if (by) {
      const target = this.cursor + by;
      if (target >= 0 && target < this.tiles.length) this.cursor = target;
      this.draw();
      this.say({ index: this.index(this.cursor, 0, 0) });
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** A matrix (or vector) as one picture, a weight a pixel as far as they fit. */
function matrixPicture(tensor, pick) {
  const columns = tensor.shape[tensor.shape.length - 1];
  const rows = Math.min(Math.floor(embeddedCount(tensor) / columns), 512);
  const shownColumns = Math.min(columns, 1024);
  if (!rows || !columns) return null;
  const pixel = Math.max(1, Math.min(12, Math.floor(640 / shownColumns), Math.floor(320 / rows)));
  const canvas = el('canvas', { class: 'filters', role: 'img', 'aria-label': `The first ${rows} rows as a picture, a weight a pixel` });
  const context = sharpen(canvas, shownColumns * pixel, rows * pixel);
  const most = largest(tensor);
  for (let row = 0; row < rows; row++) {
    const numbers = numbersOf(tensor, row * columns, row * columns + shownColumns);
    for (let column = 0; column < shownColumns; column++) {
      context.fillStyle = css(colourOf(numbers[column], most) || [128, 0, 128]);
      context.fillRect(column * pixel, row * pixel, pixel, pixel);
    }
  }
  const words = el('p', { class: 'note under' }, `${grouped(rows)} of ${grouped(tensor.numel / columns)} rows, ${grouped(shownColumns)} of ${grouped(columns)} columns.`);
  const hit = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / pixel)));
    const column = Math.min(shownColumns - 1, Math.max(0, Math.floor((event.clientX - box.left) / pixel)));
    return indexOf(tensor, row * columns + column);
  };
  canvas.addEventListener('pointermove', (event) => {
    const index = hit(event);
    words.textContent = `[${index.join(', ')}] = ${valueAt(tensor, flatOf(tensor, index)).text}`;
  });
  canvas.addEventListener('click', (event) => pick(hit(event), false));
  return el('div', { class: 'pictures' }, el('div', { class: 'scroll' }, canvas), words, legend(most, tensor.dtype));
}

/** Bars over a range of values, zero marked. */
function histogram({ histogram: bars, min, max }, dtype) {
  const [width, height, base] = [640, 150, 128];
  const tallest = Math.max(...bars);
  const step = width / bars.length;
  const at = (value) => (max > min ? (value - min) / (max - min) * width : width / 2);
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'histogram', role: 'img',
    'aria-label': `Histogram: ${bars.length} bars from ${shortest(min, dtype)} to ${shortest(max, dtype)}, the tallest with ${tallest} elements` },
  bars.map((bar, number) => {
    const tall = bar ? Math.max(1, bar / tallest * (base - 8)) : 0;
    const [from, to] = [min + (max - min) * number / bars.length, min + (max - min) * (number + 1) / bars.length];
    return svg('rect', { x: number * step + 0.5, y: base - tall, width: Math.max(0.5, step - 1), height: tall, class: 'barfill' },
      svg('title', {}, `${figure(from)} to ${figure(to)}: ${count(bar, 'element')}`));
  }),
  svg('line', { x1: 0, x2: width, y1: base, y2: base, class: 'axisline' }),
  min < 0 && max > 0 && svg('line', { x1: at(0), x2: at(0), y1: 4, y2: base + 4, class: 'zeroline' }),
  svg('text', { x: 0, y: height - 4, class: 'tick' }, figure(min)),
  min < 0 && max > 0 && at(0) > 80 && at(0) < width - 80 && svg('text', { x: at(0), y: height - 4, 'text-anchor': 'middle', class: 'tick' }, '0'),
  svg('text', { x: width, y: height - 4, 'text-anchor': 'end', class: 'tick' }, figure(max)));
  return picture;
}

/** A bar for each filter's norm: dead filters are seen at once. */
function normBars(tensor, pick) {
  const { norms } = tensor.figures;
  const tallest = Math.max(...norms);
  const height = 90;
  const canvas = el('canvas', { class: 'norms', tabindex: 0, role: 'img' });
  const words = el('p', { class: 'note under', 'aria-live': 'polite' });
  const dead = norms.filter((norm) => norm === 0).length;
  const least = norms.indexOf(Math.min(...norms));
  const rest = `Least: filter ${least} with ${figure(norms[least])}; most: filter ${norms.indexOf(tallest)} with ${figure(tallest)}${dead ? `; ${count(dead, 'filter')} all zero` : ''}.`;
  canvas.setAttribute('aria-label', `Norms of ${norms.length} filters. ${rest}`);
  words.textContent = rest;
  let cursor = 0;
  const widthOf = () => Math.min(roomIn(canvas.parentNode || document.getElementById('main')), norms.length * 14);
  const draw = () => {
    const width = widthOf();
    const context = sharpen(canvas, width, height);
    const style = getComputedStyle(document.documentElement);
    const step = width / norms.length;
    norms.forEach((norm, number) => {
      const tall = tallest ? norm / tallest * (height - 4) : 0;
      context.fillStyle = style.getPropertyValue(number === cursor ? '--accent' : '--bars');
      context.fillRect(number * step, height - Math.max(tall, norm ? 1 : 0), Math.max(0.5, step > 3 ? step - 1 : step), tall);
    });
  };
  const show = (number) => {
    cursor = Math.max(0, Math.min(number, norms.length - 1));
    words.textContent = `filter ${cursor}: norm ${figure(norms[cursor])}. ${rest}`;
    draw();
  };
  const numberAt = (event) => Math.floor((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth * norms.length);
  const first = (number) => tensor.shape.map((_, axis) => (axis ? 0 : number));
  canvas.addEventListener('pointermove', (event) => show(numberAt(event)));
  canvas.addEventListener('click', (event) => { show(numberAt(event)); pick(first(cursor), false); });
  canvas.addEventListener('keydown', (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (by) show(cursor + by);
    else if (event.key === 'Enter') pick(first(cursor), true);
    else return;
    event.preventDefault();
  });
  const node = el('div', { class: 'pictures' }, canvas, words);
  new ResizeObserver(() => canvas.clientWidth !== widthOf() && draw()).observe(node);
  requestAnimationFrame(draw);
  return node;
}
