
// ---- tree.js: everything in the file by name, with search ----------------------------------------------------------------

/** A node: its key, what it is, its children by key. */
function newNode(key, name, parent) {
  return { key, name, parent, children: new Map(), open: false, tensors: 0, numel: 0, depth: parent ? parent.depth + 1 : 0 };
}

/** The node at a dotted name, made on the way. */
function nodeAt(root, name) {
  if (name === '') return root;
  let node = root;
  for (const key of name.split('.')) {
    let child = node.children.get(key);
    if (!child) {
      child = newNode(key, node === root ? key : `${node.name}.${key}`, node);
      node.children.set(key, child);
    }
    node = child;
  }
  return node;
}

/** Tensors, modules and the rest, joined by their names. */
function buildTree() {
  const root = newNode('', '', null);
  for (const module of model.document.modules) nodeAt(root, module.path).module = module;
  for (const tensor of model.tensors) {
    let node;
    if (tensor.part_of !== undefined) {
      const parent = model.tensors[tensor.part_of].node;
      node = newNode(tensor.role, tensor.name, parent);
      parent.children.set(`\u0000${tensor.role}`, node);
    } else if (tensor.name === '') {
      node = newNode('(the tensor)', '', root);
      root.children.set('\u0000', node);
    } else {
      node = nodeAt(root, tensor.name);
    }
    node.tensor = tensor;
    tensor.node = node;
    if (tensor.part_of !== undefined) continue;
    for (let up = node; up; up = up.parent) {
      up.tensors++;
      up.numel += tensor.numel;
    }
  }
  for (const { name, text } of model.document.contents) nodeAt(root, name).text = text;
  model.root = root;
}

/** A short word on what a node is, for its row. */
function nodeNote(node) {
  if (node.tensor) return node.tensor.shape.length ? node.tensor.shape.join('×') : 'scalar';
  if (node.module) return node.module.text.split('(')[0];
  if (node.text && !node.children.size) return shorten(node.text, 24);
  return node.tensors ? grouped(node.tensors) : '';
}

/** What people look for a node by. */
function nodeLabel(node) {
  return node.key === '' ? '""' : shorten(node.key, 60);
}

/** The sidebar: search above, tree or results below. */
class Sidebar {
  constructor(show) {
    this.show = show;
    this.rows = [];
    this.query = '';
    this.list = new LongList({
      role: 'tree', label: 'Tensors and everything else in the file', rowHeight: 27,
      row: (number) => this.row(number), pick: (number, event) => this.pick(number, event), keys: (event, at) => this.keys(event, at),
    });
    this.input = el('input', {
      type: 'search', placeholder: 'Search  ( / )', 'aria-label': 'Search names', spellcheck: 'false', autocomplete: 'off',
      oninput: () => this.search(this.input.value), onkeydown: (event) => this.searchKeys(event),
    });
    this.found = el('p', { class: 'found', 'aria-live': 'polite' });
    this.node = el('div', { class: 'sidebar' }, el('div', { class: 'searchbox' }, this.input), this.found, this.list.node);
    this.openFirst();
    this.refresh();
  }

  /** A tree whose top is one container is opened until there is something to see. */
  openFirst() {
    let node = model.root;
    node.open = true;
    while (node.children.size === 1 || (node.children.size && node.children.size <= 4 && node.depth < 1)) {
      const biggest = [...node.children.values()].reduce((a, b) => (b.tensors > a.tensors ? b : a));
      if (!biggest.children.size || biggest.tensor) break;
      biggest.open = true;
      node = biggest;
    }
  }

  /** The rows in sight: an open node's children follow it. */
  refresh(current) {
    if (this.query) {
      this.rows = this.results();
    } else {
      this.rows = [];
      const waiting = [...model.root.children.values()].reverse();
      while (waiting.length) {
        const node = waiting.pop();
        this.rows.push(node);
        if (node.open) waiting.push(...[...node.children.values()].reverse());
      }
    }
    const at = current ? this.rows.indexOf(current) : this.rows.indexOf(this.selected);
    this.list.node.setAttribute('role', this.query ? 'listbox' : 'tree');
    this.list.reset(this.rows.length, Math.max(0, at));
    this.found.textContent = this.query ? count(this.rows.length, 'match', 'matches') : '';
    this.found.hidden = !this.query;
  }

  /** Nodes whose names hold every word of the query. */
  results() {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    const waiting = [model.root];
    while (waiting.length) {
      const node = waiting.pop();
      const name = visible(node.name).toLowerCase();
      const tells = node.tensor || node.text || node.module;
      if (tells && node !== model.root && words.every((word) => name.includes(word))) found.push(node);
      waiting.push(...[...node.children.values()].reverse());
    }
    return found;
  }

  row(number) {
    const node = this.rows[number];
    const isSelected = node === this.selected;
    if (this.query) {
      return el('div', { class: 'row', role: 'option', 'aria-selected': String(isSelected), title: visible(node.name) },
        el('span', { class: 'key' }, this.marked(shorten(node.name, 90))), el('span', { class: 'aside' }, nodeNote(node)));
    }
    const has = node.children.size > 0;
    const row = el('div', {
      class: `row${node.tensor ? ' is-tensor' : ''}`, role: 'treeitem', 'aria-level': node.depth, 'aria-selected': String(isSelected),
      'aria-expanded': has ? String(node.open) : null, title: visible(node.name),
    }, el('span', { class: has ? 'twist' : 'twist none', 'aria-hidden': 'true' }),
    el('span', { class: 'key' }, nodeLabel(node)), el('span', { class: 'aside' }, nodeNote(node)));
    row.style.paddingLeft = `${6 + 14 * Math.min(node.depth - 1, 12)}px`;
    return row;
  }

  /** The parts of a name that the search was for, marked. */
  marked(name) {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const parts = [];
    let rest = name;
    while (rest) {
      const lower = rest.toLowerCase();
      const hits = words.map((word) => [lower.indexOf(word), word]).filter(([at]) => at >= 0).sort((a, b) => a[0] - b[0] || b[1].length - a[1].length);
      if (!hits.length) break;
      const [at, word] = hits[0];
      parts.push(rest.slice(0, at), el('mark', {}, rest.slice(at, at + word.length)));
      rest = rest.slice(at + word.length);
    }
    return [...parts, rest];
  }

  pick(number, event) {
    const node = this.rows[number];
    const onTwist = event.target instanceof Element && event.target.classList.contains('twist');
    if (!this.query && node.children.size && (onTwist || event.type === 'click' || !node.open)) {
      const leaves = onTwist || node === this.selected;
      node.open = leaves ? !node.open : true;
      this.refresh(node);
      if (onTwist) return;
    }
    this.show(node);
  }

  keys(event, at) {
    const node = this.rows[at];
    if (event.key === 'Escape') {
      this.leaveSearch();
      return at;
    }
    if (!node || this.query) return undefined;
    if (event.key === 'ArrowRight') {
      if (!node.children.size) return at;
      if (node.open) return at + 1;
      node.open = true;
      this.refresh(node);
      return at;
    }
    if (event.key === 'ArrowLeft') {
      if (node.open && node.children.size) {
        node.open = false;
        this.refresh(node);
        return at;
      }
      return node.parent && node.parent !== model.root ? this.rows.indexOf(node.parent) : at;
    }
    return undefined;
  }

  search(query) {
    this.query = query.trim();
    this.list.node.scrollTop = 0;
    this.refresh();
  }

  searchKeys(event) {
    if (event.key === 'Escape') {
      this.leaveSearch();
    } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
      event.preventDefault();
      this.list.node.focus();
      if (event.key === 'Enter' && this.rows.length) this.list.press(0, event);
    }
  }

  leaveSearch() {
    if (!this.query) return;
    this.input.value = '';
    this.search('');
    this.reveal(this.selected);
  }

  /** Marks the node that is shown, opens what it lies in and brings it into sight. */
  reveal(node) {
    this.selected = node;
    if (!node) return;
    for (let up = node.parent; up; up = up.parent) up.open = true;
    this.refresh(node);
    const at = this.rows.indexOf(node);
    if (at >= 0) this.list.go(at);
  }
}
