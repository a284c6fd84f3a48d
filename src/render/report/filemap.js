
// ---- filemap.js: an owner for every byte --------------------------------------------------------------------------------------

/** Tints of the owners: by lightness too, so that they can be told apart without colour. */
const OWNER_CLASSES = { header: 'o-header', descriptor: 'o-descriptor', directory: 'o-directory', record: 'o-record', storage: 'o-storage', description: 'o-description', gap: 'o-gap' };

/** One file's map: a bar, a field to ask for a byte, and the list of all runs. */
class FileMapPart {
  constructor(map) {
    this.map = map;
    this.starts = new Float64Array(map.spans.length);
    let at = 0;
    map.spans.forEach(([length], number) => {
      this.starts[number] = at;
      at += length;
    });
    this.canvas = el('canvas', { class: 'filemap', tabindex: 0, role: 'img', 'aria-label': `Map of ${map.size} bytes; left and right arrow keys go from run to run` });
    this.words = el('p', { class: 'note under', 'aria-live': 'polite' });
    this.list = new LongList({ role: 'listbox', label: 'Runs of bytes and their owners', rowHeight: 27, row: (number) => this.row(this.shown[number]), pick: (number) => this.point(this.shown[number], true) });
    this.shown = map.spans.map((_, number) => number);
    this.current = -1;
    const ask = el('input', { type: 'text', class: 'sizes', placeholder: 'byte 4096 or 0x1000', 'aria-label': 'Who owns this byte?', spellcheck: 'false',
      oninput: (event) => this.ask(event.target) });
    const filter = el('select', { 'aria-label': 'Show runs of', onchange: (event) => this.filter(event.target.value) },
      el('option', { value: '' }, 'all runs'), map.owners.map((owner, k) => map.spans.some((span) => span[1] === k) && el('option', { value: String(k) }, `${owner} only`)));
    this.node = el('div', { class: 'mappart' }, el('h3', {}, visible(map.file), el('small', {}, ` ${grouped(map.size)} bytes`)), this.totals(), this.canvas,
      el('div', { class: 'controls' }, el('label', {}, 'Whose is ', ask), filter), this.words, el('div', { class: 'maplist' }, this.list.node));
    this.canvas.addEventListener('pointermove', (event) => this.point(this.spanAt(this.byteAt(event)), false, this.byteAt(event)));
    this.canvas.addEventListener('click', (event) => this.open(this.spanAt(this.byteAt(event))));
    this.canvas.addEventListener('keydown', (event) => this.keys(event));
    new ResizeObserver(() => this.node.isConnected && this.draw()).observe(this.node);
    this.list.reset(this.shown.length, 0);
  }

  totals() {
    const sums = this.map.owners.map(() => [0, 0]);
    for (const [length, owner] of this.map.spans) {
      sums[owner][0] += length;
      sums[owner][1]++;
    }
    return el('ul', { class: 'owners' }, this.map.owners.map((owner, k) => sums[k][1] > 0 && el('li', {}, el('i', { class: OWNER_CLASSES[owner] }),
      `${owner} `, el('small', {}, `${inBytes(sums[k][0])} in ${grouped(sums[k][1])}, ${ratio(sums[k][0], this.map.size)}`))));
  }

  draw() {
    const width = roomIn(this.node) - 2;
    const height = 46;
    const context = sharpen(this.canvas, width, height);
    const style = getComputedStyle(this.node);
    const colours = this.map.owners.map((owner) => style.getPropertyValue(`--${OWNER_CLASSES[owner]}`));
    const scale = width / Math.max(1, this.map.size);
    context.fillStyle = colours[this.map.owners.indexOf('storage')];
    context.fillRect(0, 6, width, height - 12);
    const storage = this.map.owners.indexOf('storage');
    // small runs are drawn a hair wide, over the storages: they would vanish else
    let last = -1;
    this.map.spans.forEach(([length, owner], number) => {
      const [x, wide] = [this.starts[number] * scale, length * scale];
      if (owner === storage || (wide < 0.6 && x - last < 1.2)) return;
      last = x;
      context.fillStyle = colours[owner];
      context.fillRect(x, 6, Math.max(0.6, wide), height - 12);
    });
    if (this.current >= 0) {
      context.fillStyle = style.getPropertyValue('--accent');
      const [length] = this.map.spans[this.current];
      context.fillRect(Math.min(width - 2, this.starts[this.current] * scale), 0, Math.max(2, length * scale), 5);
      context.fillRect(Math.min(width - 2, this.starts[this.current] * scale), height - 5, Math.max(2, length * scale), 5);
    }
  }

  byteAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.max(0, Math.min(this.map.size - 1, Math.floor((event.clientX - box.left) / box.width * this.map.size)));
  }

  /** The run that holds a byte, by halving. */
  spanAt(byte) {
    let [low, high] = [0, this.starts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.starts[middle] <= byte) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  describe(number, byte) {
    const [length, owner, what, slack] = this.map.spans[number];
    const from = this.starts[number];
    const at = byte === undefined ? '' : `byte ${grouped(byte)} (${hex(byte)}): `;
    return `${at}${this.map.owners[owner]}${what ? ` of ${shorten(what, 100)}` : ''}, bytes ${grouped(from)} – ${grouped(from + length - 1)}${slack ? `, ${count(slack, 'byte')} used by no tensor` : ''}`;
  }

  point(number, fromList, byte) {
    if (!(number in this.map.spans)) return;
    this.current = number;
    this.words.textContent = this.describe(number, byte);
    const tensor = this.tensorIn(number, byte);
    if (tensor) this.words.append(' · ', tensorLink(tensor));
    this.draw();
    if (!fromList) this.list.go(this.shown.indexOf(number));
  }

  /** A tensor of the run's storage: the one that holds the byte, where one is asked for. */
  tensorIn(number, byte) {
    const from = this.starts[number];
    const [length, owner] = this.map.spans[number];
    if (this.map.owners[owner] !== 'storage') return null;
    const isHere = (storage) => (storage.file || model.document.maps[0].file) === this.map.file || model.document.maps.length === 1;
    const { storages } = model.document;
    for (let k = 0; k < storages.length; k++) {
      const { file_offset: offset, nbytes } = storages[k];
      if (offset === undefined || offset > from || offset + nbytes < from + length || !isHere(storages[k])) continue;
      const list = tensorsOnStorage(k);
      const holding = byte === undefined ? null : list.find((tensor) => isAddressable(tensor) && indexAtElement(tensor, elementAtByte(tensor, byte)));
      if (holding || list.length) return holding || list[0];
    }
    return null;
  }

  open(number) {
    const tensor = this.tensorIn(number);
    if (tensor) goTo(tensor);
  }

  ask(field) {
    const byte = Number(field.value.trim().toLowerCase().replace(/^byte\s*/, '').replace(/,/g, ''));
    const isByte = Number.isSafeInteger(byte) && byte >= 0 && byte < this.map.size && field.value.trim() !== '';
    field.classList.toggle('wrong', !isByte && field.value.trim() !== '');
    if (isByte) this.point(this.spanAt(byte), false, byte);
  }

  filter(owner) {
    this.shown = this.map.spans.map((_, number) => number).filter((number) => owner === '' || this.map.spans[number][1] === Number(owner));
    this.list.node.scrollTop = 0;
    this.list.reset(this.shown.length, 0);
  }

  keys(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) this.point(Math.max(0, Math.min(this.map.spans.length - 1, this.current + by)), false);
    else if (event.key === 'Enter' && this.current >= 0) this.open(this.current);
    else return;
    event.preventDefault();
  }

  row(number) {
    const [length, owner, what, slack] = this.map.spans[number];
    const name = this.map.owners[owner];
    return el('div', { class: 'row maprow', role: 'option', 'aria-selected': String(number === this.current), title: visible(what) },
      el('span', { class: 'num' }, grouped(this.starts[number])), el('span', { class: 'num' }, grouped(length)), el('span', { class: 'owner' }, el('i', { class: OWNER_CLASSES[name] }), name),
      el('span', { class: 'key' }, visible(what), slack ? el('em', {}, ` ${grouped(slack)} unused`) : null));
  }
}
