
// ---- dom.js: making elements ---------------------------------------------------------------------------------------

/**
 * Makes an element. Attributes: `on...` functions listen, `class` and the rest are set as attributes, `null`,
 * `undefined` and `false` are left out. Children: nodes, texts, lists of both.
 */
function el(tag, attributes, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return dress(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** Puts children, as `el` takes them, in place of those that were. */
function fill(node, ...children) {
  node.replaceChildren();
  return dress(node, null, children);
}

/** Characters that hide or reorder what follows are shown by their code: names come from files of strangers. */
function visible(text) {
  return String(text).replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu,
    (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** A long name with both ends readable. */
function shorten(text, most) {
  const all = Array.from(visible(text));
  if (all.length <= most) return all.join('');
  const head = Math.floor((most - 1) / 2);
  return `${all.slice(0, head).join('')}…${all.slice(all.length - (most - 1 - head)).join('')}`;
}

/** Says something to people who listen to the page. */
function announce(text) {
  document.getElementById('live').textContent = text;
}

function button(label, press, attributes) {
  return el('button', { type: 'button', onclick: press, ...attributes }, label);
}

/** A heading with an optional line below that says what one sees. */
function section(title, note, ...children) {
  const id = `s${section.count = (section.count || 0) + 1}`;
  return el('section', { 'aria-labelledby': id },
    el('h2', { id }, title), note && el('p', { class: 'note' }, note), children);
}

/** A table of figures: [label, value] pairs; pairs without a value are left out. */
function facts(pairs, attributes) {
  return el('dl', { class: 'facts', ...attributes }, pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined)
    .map(([label, value]) => el('div', {}, el('dt', {}, label), el('dd', {}, value))));
}

/** A canvas as sharp as the screen is; `draw(context, width, height)` works in CSS pixels. */
function sharpen(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  return context;
}

/** Width that a block may take inside `node`; before it is in the page, that of the content. */
function roomIn(node) {
  const { paddingLeft, paddingRight } = getComputedStyle(node);
  const width = node.clientWidth - (parseFloat(paddingLeft) || 0) - (parseFloat(paddingRight) || 0);
  return Math.max(200, Math.floor(node.clientWidth ? width : document.getElementById('main').clientWidth - 80));
}

/**
 * A list of which only the rows in sight exist. `row(number)` makes one; `keys(event, current)` may handle a key and
 * return the number of the row to go to. The list holds the focus, rows are named to it by id.
 */
class LongList {
  constructor({ role, label, rowHeight, row, pick, keys }) {
    Object.assign(this, { rowHeight, row, pick, keys, count: 0, current: 0 });
    this.id = `list${LongList.count = (LongList.count || 0) + 1}`;
    this.inner = el('div', { class: 'long-inner', role: 'presentation' });
    this.node = el('div', {
      class: 'long', role, 'aria-label': label, tabindex: 0,
      onscroll: () => this.draw(), onkeydown: (event) => this.key(event),
    }, this.inner);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** Sets the number of rows and draws anew. */
  reset(count, current) {
    this.count = count;
    this.current = Math.max(0, Math.min(current || 0, count - 1));
    this.inner.style.height = `${count * this.rowHeight}px`;
    this.draw();
  }

  draw() {
    const height = this.rowHeight;
    const from = Math.max(0, Math.floor(this.node.scrollTop / height) - 4);
    const to = Math.min(this.count, from + Math.ceil(this.node.clientHeight / height) + 8);
    const rows = [];
    for (let number = from; number < to; number++) {
      const row = this.row(number);
      row.id = `${this.id}-${number}`;
      row.classList.add('long-row');
      row.classList.toggle('current', number === this.current);
      row.style.top = `${number * height}px`;
      row.style.height = `${height}px`;
      row.addEventListener('click', (event) => this.press(number, event));
      rows.push(row);
    }
    this.inner.replaceChildren(...rows);
    this.name();
  }

  name() {
    if (this.count) this.node.setAttribute('aria-activedescendant', `${this.id}-${this.current}`);
    else this.node.removeAttribute('aria-activedescendant');
  }

  press(number, event) {
    this.current = number;
    if (this.pick) this.pick(number, event);
    this.draw();
  }

  /** Makes a row the current one and brings it into sight. */
  go(number) {
    if (!this.count) return;
    this.current = Math.max(0, Math.min(number, this.count - 1));
    const top = this.current * this.rowHeight;
    const { scrollTop, clientHeight } = this.node;
    if (top < scrollTop) this.node.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.node.scrollTop = top + this.rowHeight - clientHeight;
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    let target = this.keys ? this.keys(event, this.current) : undefined;
    if (target === undefined && event.key in steps) target = this.current + steps[event.key];
    if (target === undefined && (event.key === 'Enter' || event.key === ' ') && this.count) {
      event.preventDefault();
      this.press(this.current, event);
      return;
    }
    if (target === undefined) return;
    event.preventDefault();
    this.go(target);
  }
}
