
// ---- explorer.js: point at a weight, see its place; point at a byte, see its weight -----------------------------------------

/** Rows and columns of a grid that are shown at once. */
const GRID = 16;
/** Cells that are shown at once. */
const CELLS = 420;

/**
 * The layout of one tensor in four pictures that follow one selected index: the grids of one filter, the whole run of
 * memory, its neighbourhood element by element, and the bytes. Pointing selects for as long as the pointer stays;
 * a click, the arrow keys and the number fields select for good.
 */
class Explorer {
  constructor(tensor) {
    this.tensor = tensor;
    this.axes = axesOf(tensor);
    this.rank = tensor.shape.length;
    this.most = largest(tensor);
    this.index = tensor.shape.map(() => 0);
    this.pinned = this.index;
    this.strides = stridesOf(tensor);
    this.readout = el('dl', { class: 'readout' });
    this.grids = el('div', { class: 'grids' });
    this.bar = el('canvas', { class: 'bar', role: 'img' });
    this.strip = el('div', { class: 'strip', role: 'grid', 'aria-label': 'Memory around the weight, element by element' });
    this.dump = el('div', { class: 'dump', role: 'grid', 'aria-label': 'Bytes around the weight' });
    this.fields = this.axes.map((axis, number) => this.field(axis, number));
    this.node = el('div', { class: 'explorer', onpointerleave: () => this.select(this.pinned) },
      this.controls(), this.readout, this.gridPart(), this.memoryPart(), this.bytesPart());
    this.bar.addEventListener('pointermove', (event) => this.pointAtBar(event, false));
    this.bar.addEventListener('pointerdown', (event) => this.pointAtBar(event, true));
    new ResizeObserver(() => this.resize()).observe(this.node);
  }

  /** A number field for the index along one axis. */
  field(axis, number) {
    const size = this.tensor.shape[number];
    return el('input', {
      type: 'number', min: 0, max: size - 1, value: 0, 'aria-label': `${axis.letter}: ${axis.word}, 0 to ${size - 1}`,
      oninput: (event) => {
        const at = Math.floor(Number(event.target.value));
        if (!(at >= 0 && at < size)) return;
        this.pin(this.pinned.map((old, k) => (k === number ? at : old)));
      },
    });
  }

  controls() {
    const go = el('input', {
      type: 'text', class: 'goto', placeholder: this.rank ? `${this.axes.map((axis) => axis.letter).join(',')}   or  flat 596   or  byte 0x7c0` : 'byte 0x7c0',
      'aria-label': 'Go to an index, a flat position or a byte', spellcheck: 'false',
      onkeydown: (event) => {
        if (event.key !== 'Enter') return;
        const found = this.parse(event.target.value);
        event.target.classList.toggle('wrong', !found);
        if (found) this.pin(found);
        else announce('No weight there');
      },
    });
    return el('div', { class: 'controls' }, this.fields.map((field, number) => el('label', { class: 'axis' },
      el('span', {}, this.axes[number].letter), field, el('small', {}, `of ${grouped(this.tensor.shape[number])}`))), go);
  }

  /** `7,2,4,1`, `flat 596`, `byte 1984` or `byte 0x7c0`: an index, or `null`. */
  parse(text) {
    const words = text.trim().toLowerCase().match(/^(flat|byte)?\s*(.*)$/);
    const numbers = words[2].replace(/[[\]()]/g, '').split(/[\s,]+/).filter(Boolean).map(Number);
    if (!numbers.length || !numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) return null;
    if (words[1] === 'byte') return indexAtElement(this.tensor, elementAtByte(this.tensor, numbers[0]));
    if (words[1] === 'flat') return numbers[0] < this.tensor.numel ? indexOf(this.tensor, numbers[0]) : null;
    const fits = numbers.length === this.rank && numbers.every((at, axis) => at < this.tensor.shape[axis]);
    return fits ? numbers : null;
  }

  gridPart() {
    const leading = this.rank > 3 ? `one ${this.axes[0].letter} at a time` : '';
    return el('div', { class: 'part' }, el('h3', {}, 'In the tensor ', el('small', {}, leading)), legend(this.most, this.tensor.dtype), this.grids);
  }

  memoryPart() {
    const where = this.storageName();
    return el('div', { class: 'part' }, el('h3', {}, 'In memory ', el('small', {}, where)), this.strideTable(), this.bar, this.strip);
  }

  bytesPart() {
    const what = isInFile(this.tensor) ? 'bytes of the file' : 'bytes of the storage (the file has it compressed, or in pieces)';
    return el('div', { class: 'part' }, el('h3', {}, 'In the file ', el('small', {}, what)), this.dump);
  }

  storageName() {
    const storage = storageOf(this.tensor);
    if (!storage) return '';
    const key = storage.key ? `storage ${visible(storage.key)}, ` : '';
    return `${key}${inBytes(storage.nbytes)}`;
  }

  /** What one step along each axis costs, the fastest marked. */
  strideTable() {
    if (!this.rank) return null;
    const { bits } = dtypeOf(this.tensor);
    const moving = this.strides.filter((stride, axis) => this.tensor.shape[axis] > 1 && stride > 0);
    const fastest = Math.min(...moving);
    return el('table', { class: 'strides' }, el('thead', {}, el('tr', {}, ['axis', 'counts', 'size', 'one step is'].map((text) => el('th', { scope: 'col' }, text)))),
      el('tbody', {}, this.axes.map((axis, number) => {
        const stride = this.strides[number];
        const step = stride === 0 ? 'nothing: all share one element' : `${count(stride, 'element')} = ${inBytes(stride * bits / 8)}`;
        const isFastest = stride === fastest && this.tensor.shape[number] > 1;
        return el('tr', { class: isFastest ? 'fastest' : null }, el('th', { scope: 'row' }, axis.letter), el('td', {}, axis.word),
          el('td', { class: 'num' }, grouped(this.tensor.shape[number])), el('td', {}, step, isFastest && el('em', {}, ' · neighbours in memory')));
      })));
  }

  /**
   * Selects while the pointer is there. Cells that come to lie under a pointer that rests, because keys moved the
   * selection, are not pointed at; a finger selects by its click.
   */
  pointAt(event, index) {
    const rests = this.pointer && this.pointer.x === event.clientX && this.pointer.y === event.clientY;
    this.pointer = { x: event.clientX, y: event.clientY };
    if (index && !rests && event.pointerType !== 'touch') this.select(index);
  }

  /** Selects for good. */
  pin(index) {
    this.pinned = index;
    this.select(index);
    announce(this.describe(index));
  }

  /** Selects, for good or while the pointer is there. */
  select(index, anew) {
    // cells that are drawn anew under a still pointer say that it came in: nothing to do
    if (!anew && this.element !== undefined && flatOf(this.tensor, index) === flatOf(this.tensor, this.index)) return;
    this.index = index;
    this.element = elementOf(this.tensor, index);
    this.fields.forEach((field, axis) => {
      if (document.activeElement !== field || Number(field.value) !== index[axis]) field.value = index[axis];
    });
    this.drawReadout();
    this.drawGrids();
    this.drawBar();
    this.drawStrip();
    this.drawDump();
  }

  describe(index) {
    const value = valueAt(this.tensor, flatOf(this.tensor, index));
    const place = this.axes.map((axis, number) => `${axis.letter} ${index[number]}`).join(', ');
    return `${place || 'the number'}: ${value ? value.text : 'value not embedded'}`;
  }

  drawReadout() {
    const { tensor, index } = this;
    const flat = flatOf(tensor, index);
    const value = valueAt(tensor, flat);
    const [from, to] = byteRange(tensor, this.element);
    const bytes = bytesAt(tensor, flat);
    const where = isInFile(tensor) ? 'file bytes' : 'storage bytes';
    const pair = (name, label, text) => el('div', { class: `r-${name}` }, el('dt', {}, label), el('dd', {}, text));
    fill(this.readout, 
      pair('value', 'value', value ? value.text : 'not embedded'), this.standsFor(value),
      pair('index', 'index', `[${index.join(', ')}]`),
      pair('flat', 'flat', grouped(flat)),
      pair('element', 'storage element', grouped(this.element)),
      pair('byte', where, to - from > 1 ? `${grouped(from)} – ${grouped(to - 1)}` : grouped(from)),
      pair('hex', 'bytes', bytes ? bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ') : '–'));
  }

  /** What a quantized integer stands for: scale · (q − zero point), the scales along an axis where there are several. */
  standsFor(value) {
    const { tensor } = this;
    const { scale, zero_point: zero, scales, zero_points: zeros, axis } = tensor.extra || {};
    const along = (list) => (Array.isArray(list) ? list[this.index[axis]] : undefined);
    const [by, from] = [scale === undefined ? along(scales) : scale, zero === undefined ? along(zeros) : zero];
    if (!value || by === undefined || from === undefined) return null;
    return el('div', { class: 'r-real' }, el('dt', {}, 'stands for'), el('dd', {}, String(Number((by * (value.number - from)).toPrecision(7)))));
  }

  /** Which part of the tensor the grids show: changes only where the selection leaves it. */
  window() {
    const { rank, index, tensor } = this;
    const size = (axis) => (axis < 0 ? 1 : tensor.shape[axis]);
    const [rows, columns] = [Math.min(GRID, size(rank - 2)), Math.min(rank === 1 ? GRID * 4 : GRID, size(rank - 1))];
    const panels = Math.max(1, Math.min(size(rank - 3), Math.floor(CELLS / (rows * columns))));
    const from = (axis, page) => (axis < 0 ? 0 : Math.floor(index[axis] / page) * page);
    return { rows, columns, panels, row: from(rank - 2, rows), column: from(rank - 1, columns), panel: from(rank - 3, panels), lead: index.slice(0, Math.max(0, rank - 3)) };
  }

  drawGrids() {
    const shown = this.window();
    const key = JSON.stringify(shown);
    if (key !== this.shownKey) {
      this.shownKey = key;
      this.buildGrids(shown);
    }
    if (this.selectedCell) {
      this.selectedCell.classList.remove('selected');
      this.selectedCell.tabIndex = -1;
      this.selectedCell.removeAttribute('aria-selected');
    }
    this.selectedCell = this.cells.get(flatOf(this.tensor, this.index)) || null;
    if (this.selectedCell) {
      this.selectedCell.classList.add('selected');
      this.selectedCell.tabIndex = 0;
      this.selectedCell.setAttribute('aria-selected', 'true');
    }
  }

  buildGrids(shown) {
    const { rank, tensor } = this;
    this.cells = new Map();
    const large = shown.columns <= 7 && shown.panels * shown.rows * shown.columns <= 150;
    const end = (axis, from, page) => (axis < 0 ? 1 : Math.min(tensor.shape[axis], from + page));
    const panels = [];
    for (let panel = shown.panel; panel < end(rank - 3, shown.panel, shown.panels); panel++) {
      const rows = [];
      for (let row = shown.row; row < end(rank - 2, shown.row, shown.rows); row++) {
        const cells = [];
        for (let column = shown.column; column < end(rank - 1, shown.column, shown.columns); column++) {
          const index = [...shown.lead, panel, row, column].slice(Math.max(0, 3 - rank));
          cells.push(this.cell(rank ? index : [], large));
        }
        rows.push(el('div', { role: 'row', class: 'cells' }, cells));
      }
      const caption = rank >= 3 ? `${this.axes[rank - 3].letter} = ${panel}` : null;
      panels.push(el('div', { class: 'panel' }, caption && el('div', { class: 'caption' }, caption), rows));
    }
    const label = `Weights ${this.axes.slice(0, Math.max(0, rank - 3)).map((axis, k) => `${axis.letter} = ${shown.lead[k]}`).join(', ')}`;
    fill(this.grids, this.pager(shown), el('div', { class: `panels${large ? ' large' : ''}`, role: 'grid', 'aria-label': label,
      onkeydown: (event) => this.gridKeys(event) }, panels));
  }

  cell(index, large) {
    const flat = flatOf(this.tensor, index);
    const value = valueAt(this.tensor, flat);
    const colour = value ? colourOf(value.number, this.most) : null;
    const name = `[${index.join(', ')}] ${value ? value.text : 'not embedded'}`;
    const cell = el('div', {
      role: 'gridcell', class: `cell${value ? '' : ' unknown'}`, tabindex: -1, 'aria-label': name, title: name,
      onpointerenter: (event) => this.pointAt(event, index), onclick: () => this.pin(index),
    }, large && (value ? brief(value.number) : '·'));
    if (colour) {
      cell.style.backgroundColor = css(colour);
      cell.style.color = inkOn(colour);
    }
    this.cells.set(flat, cell);
    return cell;
  }

  /** Buttons to the neighbouring parts along axes that do not fit. */
  pager(shown) {
    const { rank, tensor } = this;
    const turns = [[rank - 3, shown.panel, shown.panels], [rank - 2, shown.row, shown.rows], [rank - 1, shown.column, shown.columns]]
      .filter(([axis, , page]) => axis >= 0 && tensor.shape[axis] > page);
    return turns.length ? el('div', { class: 'pager' }, turns.map(([axis, from, page]) => {
      const { letter } = this.axes[axis];
      const to = Math.min(tensor.shape[axis], from + page);
      const turn = (at) => this.pin(this.pinned.map((old, k) => (k === axis ? at : old)));
      return el('span', {}, button('‹', () => turn(from - page), { disabled: from === 0, 'aria-label': `earlier ${letter}` }),
        ` ${letter} ${grouped(from)}–${grouped(to - 1)} of ${grouped(tensor.shape[axis])} `,
        button('›', () => turn(to), { disabled: to >= tensor.shape[axis], 'aria-label': `later ${letter}` }));
    })) : null;
  }

  /** Arrows move within the grid and over its sides into the next one; Page Up and Down change the filter. */
  gridKeys(event) {
    const moves = { ArrowRight: [1, 1], ArrowLeft: [1, -1], ArrowDown: [2, 1], ArrowUp: [2, -1], PageDown: [0, 1], PageUp: [0, -1] };
    const index = [...this.pinned];
    const { shape } = this.tensor;
    const ends = { Home: 0, End: shape[this.rank - 1] - 1 };
    if (event.key in ends && this.rank) {
      index[this.rank - 1] = ends[event.key];
    } else if (event.key in moves) {
      const [which, by] = moves[event.key];
      const axis = which === 0 ? 0 : this.rank - which;
      if (!(axis in index)) return;
      index[axis] += by;
      const beside = this.rank - 3;
      if (which === 1 && beside >= 0 && (index[axis] < 0 || index[axis] >= shape[axis])) {
        index[axis] = by > 0 ? 0 : shape[axis] - 1;
        index[beside] += by;
      }
    } else {
      return;
    }
    event.preventDefault();
    if (index.every((at, axis) => at >= 0 && at < shape[axis])) this.pin(index);
    if (this.selectedCell) this.selectedCell.focus();
  }

  resize() {
    if (!this.node.isConnected || this.width === this.node.clientWidth) return;
    this.width = this.node.clientWidth;
    this.stripFrom = undefined;
    this.select(this.index, true);
  }

  /** The whole run of memory: what the tensor reaches, the chosen filter in it, the weight. */
  drawBar() {
    const width = roomIn(this.bar.parentNode || this.node) - 2;
    const height = 26;
    const context = sharpen(this.bar, width, height);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    const [first, end] = reachOf(this.tensor);
    const scale = width / Math.max(1, end - first);
    context.fillStyle = colour('--line');
    context.fillRect(0, 8, width, 10);
    context.fillStyle = colour('--accent-soft');
    for (const [from, to] of this.filterRuns()) {
      context.fillRect((from - first) * scale, 4, Math.max(1, (to - from) * scale), 18);
    }
    context.fillStyle = colour('--accent');
    const x = (this.element - first) * scale;
    context.fillRect(Math.min(x, width - 3), 0, Math.max(3, scale), height);
    const filter = this.rank > 1 ? `, tinted: everything of ${this.axes[0].letter} = ${this.index[0]}` : '';
    this.bar.setAttribute('aria-label', `Storage elements ${first} to ${end - 1}${filter}; the weight is element ${this.element}`);
    this.bar.title = `storage elements ${grouped(first)} – ${grouped(end - 1)}${filter}`;
  }

  /** Runs of storage elements of the chosen filter: one where it lies together, else element by element. */
  filterRuns() {
    const { tensor, strides, rank, index } = this;
    if (rank < 2) return [];
    const base = (tensor.storage_offset || 0) + index[0] * strides[0];
    const inner = tensor.shape.slice(1).map((size, k) => [strides[k + 1], size]).filter(([, size]) => size > 1).sort((a, b) => a[0] - b[0]);
    let run = 1;
    while (inner.length && inner[0][0] === run) run *= inner.shift()[1];
    let starts = [base];
    for (const [stride, size] of inner) {
      if (starts.length * size > 20000) return [];
      starts = starts.flatMap((start) => Array.from({ length: size }, (_, k) => start + k * stride));
    }
    return starts.map((start) => [start, start + run]);
  }

  pointAtBar(event, forGood) {
    const [first, end] = reachOf(this.tensor);
    const box = this.bar.getBoundingClientRect();
    const element = first + Math.floor((event.clientX - box.left) / box.width * (end - first));
    // between elements with gaps the next one before
    for (let at = element; at >= Math.max(first, element - 4096); at--) {
      const index = indexAtElement(this.tensor, at);
      if (!index) continue;
      if (forGood) this.pin(index);
      else this.select(index);
      return;
    }
  }

  /** The elements beside the weight, as they follow one another in memory. */
  drawStrip() {
    const room = roomIn(this.strip.parentNode || this.node);
    const shown = Math.max(7, Math.min(33, Math.floor(room / 34)));
    const storage = storageOf(this.tensor);
    const limit = storage ? Math.floor(storage.nbytes * 8 / dtypeOf(this.tensor).bits) : reachOf(this.tensor)[1];
    const inside = this.stripFrom !== undefined && this.element >= this.stripFrom && this.element < this.stripFrom + this.stripShown;
    if (!inside || this.stripShown !== shown) {
      this.stripShown = shown;
      this.stripFrom = Math.max(0, Math.min(this.element - Math.floor(shown / 2), limit - shown));
    }
    const cells = [];
    for (let element = this.stripFrom; element < Math.min(limit, this.stripFrom + shown); element++) cells.push(this.stripCell(element));
    this.refill(this.strip, [el('div', { role: 'row', class: 'stripcells' }, this.stripLetters(), cells)], (event) => this.stripKeys(event));
  }

  /** What the numbers in the cells count. */
  stripLetters() {
    return this.rank > 0 && this.rank <= 6 ? el('div', { class: 'mem letters', role: 'rowheader' }, el('i', {}), this.axes.map((axis) => el('span', {}, axis.letter))) : null;
  }

  stripCell(element) {
    const { tensor } = this;
    const index = indexAtElement(tensor, element);
    const value = index ? valueAt(tensor, flatOf(tensor, index)) : null;
    const isSelected = element === this.element;
    const name = index ? `storage element ${element}: [${index.join(', ')}] ${value ? value.text : 'not embedded'}` : `storage element ${element}: ${this.strangers(element)}`;
    const sameFilter = index && this.rank > 1 && index[0] === this.index[0];
    const cell = el('div', {
      role: 'gridcell', class: `mem${isSelected ? ' selected' : ''}${index ? '' : ' gap'}${value ? '' : ' unknown'}${sameFilter ? ' same' : ''}`,
      tabindex: isSelected ? 0 : -1, 'aria-selected': isSelected ? 'true' : null, 'aria-label': name, title: name, 'data-at': element,
      onpointerenter: (event) => this.pointAt(event, index), onclick: () => index && this.pin(index),
    }, el('i', {}), index && index.length <= 6 ? index.map((at) => el('span', {}, at)) : el('span', {}, index ? '…' : ''));
    const colour = value && colourOf(value.number, this.most);
    if (colour) cell.firstChild.style.backgroundColor = css(colour);
    return cell;
  }

  /** Whose an element of the storage is that is not this tensor's. */
  strangers(element) {
    const others = tensorsOnStorage(this.tensor.storage).filter((other) => other !== this.tensor && other.dtype === this.tensor.dtype).slice(0, 200);
    const owner = others.find((other) => isAddressable(other) && indexAtElement(other, element));
    return owner ? `of ${shorten(owner.name, 60)}` : 'of no tensor';
  }

  stripKeys(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const [first, end] = reachOf(this.tensor);
    for (let at = elementOf(this.tensor, this.pinned) + by; at >= first && at < end; at += by) {
      const index = indexAtElement(this.tensor, at);
      if (!index) continue;
      this.pin(index);
      this.focusSelected(this.strip);
      return;
    }
  }

  /** Fills a part anew; a pointer over an old cell must not be taken for one that enters the new one. */
  refill(node, children, keys) {
    const hadFocus = node.contains(document.activeElement);
    node.replaceChildren(...children);
    node.onkeydown = keys;
    if (hadFocus) this.focusSelected(node);
  }

  focusSelected(node) {
    const cell = node.querySelector('.selected');
    if (cell) cell.focus({ preventScroll: true });
  }

  /** Lines of bytes around the weight; each byte leads to its weight. */
  drawDump() {
    const { tensor } = this;
    const room = roomIn(this.dump.parentNode || this.node);
    const perLine = room > 620 ? 16 : 8;
    const [from] = byteRange(tensor, this.element);
    const base = baseOf(tensor);
    const storage = storageOf(tensor);
    const end = base + (storage ? storage.nbytes : tensor.nbytes);
    const start = Math.floor(base / perLine) * perLine;
    const lines = 6;
    const line = Math.floor((from - start) / perLine);
    if (this.dumpLine === undefined || this.dumpPer !== perLine || line < this.dumpLine || line >= this.dumpLine + lines) {
      this.dumpPer = perLine;
      this.dumpLine = Math.max(0, Math.min(line - 2, Math.ceil((end - start) / perLine) - lines));
    }
    const rows = [];
    const digits = Math.max(4, end.toString(16).length);
    for (let k = this.dumpLine; k < this.dumpLine + lines; k++) {
      const address = start + k * perLine;
      if (address >= end) break;
      const cells = [];
      for (let byte = address; byte < address + perLine; byte++) cells.push(this.byteCell(byte, base, end));
      rows.push(el('div', { role: 'row', class: 'dumprow' }, el('span', { class: 'address', role: 'rowheader' }, hex(address, digits)), cells));
    }
    this.refill(this.dump, rows, (event) => this.dumpKeys(event));
  }

  byteCell(byte, base, end) {
    const { tensor } = this;
    const outside = byte < base || byte >= end;
    const element = outside ? null : elementAtByte(tensor, byte);
    const index = outside ? null : indexAtElement(tensor, element);
    const bytes = index ? bytesAt(tensor, flatOf(tensor, index)) : null;
    const [first, last] = index ? byteRange(tensor, element) : [0, 0];
    const text = bytes ? bytes[byte - first].toString(16).padStart(2, '0') : '··';
    const [selectedFrom, selectedTo] = byteRange(tensor, this.element);
    const isSelected = byte >= selectedFrom && byte < selectedTo;
    const whose = index ? `weight [${index.join(', ')}], byte ${byte - first + 1} of ${last - first}` : outside ? 'outside the storage' : this.strangers(element);
    const name = `byte ${grouped(byte)} (${hex(byte)}): ${whose}`;
    return el('span', {
      role: 'gridcell', class: `byte${isSelected ? ' selected' : ''}${index ? '' : ' gap'}${index && byte === last - 1 ? ' last' : ''}`, tabindex: isSelected && byte === selectedFrom ? 0 : -1,
      'aria-label': name, title: name, 'data-at': byte,
      onpointerenter: (event) => this.pointAt(event, index), onclick: () => index && this.pin(index),
    }, text);
  }

  dumpKeys(event) {
    const size = Math.max(1, dtypeOf(this.tensor).bits / 8);
    const by = { ArrowRight: size, ArrowLeft: -size, ArrowDown: this.dumpPer, ArrowUp: -this.dumpPer }[event.key];
    if (!by) return;
    event.preventDefault();
    const [byte] = byteRange(this.tensor, elementOf(this.tensor, this.pinned));
    const index = byte + by >= baseOf(this.tensor) ? indexAtElement(this.tensor, elementAtByte(this.tensor, byte + by)) : null;
    if (!index) return;
    this.pin(index);
    this.focusSelected(this.dump);
  }
}
