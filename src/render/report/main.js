
// ---- main.js: header, addresses, keys, theme -------------------------------------------------------------------------------------

const VIEWS = [['overview', 'Overview', overview], ['map', 'File map', mapView], ['shapes', 'Shapes', shapesView], ['verify', 'Verify', verifyView], ['findings', 'Findings', findingsView]];

let sidebar = null;

/** What the part of the address after # asks for: the name of a view, a tensor, or a node. */
function route() {
  const [key, value] = [location.hash.slice(1).split('=')[0] || 'overview', location.hash.split('=').slice(1).join('=')];
  if (key === 'tensor') {
    const tensor = model.tensors[Number(value)];
    return tensor ? { key, node: tensor.node, make: () => tensorView(tensor) } : { key: 'overview', make: overview };
  }
  if (key === 'name') {
    const node = find(decode(value));
    if (node && node.tensor) return { key: 'tensor', node, make: () => tensorView(node.tensor) };
    return node ? { key, node, make: () => groupView(node) } : { key: 'overview', make: overview };
  }
  const view = VIEWS.find(([name]) => name === key) || VIEWS[0];
  return { key: view[0], make: view[2] };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an address that someone typed
  }
}

/** The node of that name, if there is one. */
function find(name) {
  let node = model.root;
  for (const key of name === '' ? [] : name.split('.')) node = node && node.children.get(key);
  return node || null;
}

function show() {
  const { key, node, make } = route();
  const main = document.getElementById('main');
  fill(main, make());
  main.scrollTop = 0;
  window.scrollTo(0, 0);
  for (const link of document.querySelectorAll('.views a')) {
    if (link.dataset.view === key) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (sidebar.selected !== node) {
    sidebar.reveal(node || null);
    if (!node) sidebar.refresh();
  }
  document.body.classList.remove('side-open');
  const title = main.querySelector('h1');
  if (title && node) announce(`${title.textContent}`);
}

function header() {
  const { document: data } = model;
  const name = data.file.split(/[\\/]/).pop();
  const size = data.maps.reduce((sum, map) => sum + map.size, 0) || (data.check && data.check.size) || 0;
  const hasVerify = Boolean(data.verify);
  fill(document.getElementById('top'), 
    el('div', { class: 'brand' }, button('☰', () => openSide(), { class: 'menu', 'aria-label': 'Tensors' }), el('div', { class: 'filename', title: visible(data.file) }, shorten(name || data.file, 60)),
      el('div', { class: 'about' }, `${data.format}${size ? ` · ${inBytes(size)}` : ''}`)),
    el('nav', { class: 'views', 'aria-label': 'Views' }, VIEWS.map(([key, label]) => el('a', { href: `#${key}`, 'data-view': key }, label,
      key === 'findings' && isAlarming() ? el('i', { class: 'dot', title: 'something was found' }) : null, key === 'verify' && hasVerify && data.verify.summary.identical !== data.verify.summary.cases ? el('i', { class: 'dot' }) : null))),
    button('◐', switchTheme, { class: 'theme', 'aria-label': 'Switch between light and dark', title: 'light / dark' }));
}

function isAlarming() {
  const { check, scan } = model.document;
  return check.whole === false || scan.verdict === 'dangerous';
}

function openSide() {
  document.body.classList.toggle('side-open');
  if (document.body.classList.contains('side-open')) {
    sidebar.list.draw();
    sidebar.input.focus();
  }
}

/** The theme that is chosen here goes over the system's; pictures are drawn anew. */
function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  show();
}

/** `/` searches from anywhere; Escape leaves the search and, on a narrow screen, the list. */
function keys(event) {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.body.classList.add('side-open');
    sidebar.input.focus();
    sidebar.input.select();
  } else if (event.key === 'Escape') {
    document.body.classList.remove('side-open');
    if (event.target === sidebar.input) sidebar.list.node.focus();
  }
}

function start() {
  buildTree();
  header();
  sidebar = new Sidebar((node) => {
    const target = nodeAddress(node);
    if (location.hash === target) show();
    else location.hash = target;
  });
  fill(document.getElementById('side'), sidebar.node);
  window.addEventListener('hashchange', show);
  document.addEventListener('keydown', keys);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  // paper is white
  window.addEventListener('beforeprint', () => {
    switchTheme.before = document.documentElement.dataset.theme;
    if (isDark()) {
      document.documentElement.dataset.theme = 'light';
      show();
    }
  });
  window.addEventListener('afterprint', () => {
    if (document.documentElement.dataset.theme === switchTheme.before) return;
    if (switchTheme.before) document.documentElement.dataset.theme = switchTheme.before;
    else delete document.documentElement.dataset.theme;
    show();
  });
  show();
  document.documentElement.dataset.ready = 'yes';
}

load().then(start).catch((error) => {
  const hint = typeof DecompressionStream === 'undefined' ? ' This browser is too old to unpack the data: any of 2023 or later can.' : '';
  fill(document.getElementById('main'), el('p', { class: 'bad' }, `The page cannot be shown: ${error.message}.${hint}`));
});
