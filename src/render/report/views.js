
// ---- views.js: what the main part shows -----------------------------------------------------------------------------------------

function address(tensor) {
  return `#tensor=${tensor.number}`;
}

function tensorLink(tensor, text) {
  return el('a', { href: address(tensor) }, shorten(text === undefined ? tensor.name || '(the tensor)' : text, 80));
}

function goTo(tensor) {
  location.hash = address(tensor);
}

/** The command that gives what the page leaves out; names are quoted for a shell. */
function command(words) {
  const quoted = words.map((word) => (/^[\w./:=+-]+$/.test(word) ? word : `'${visible(word).replace(/'/g, "'\\''")}'`));
  return el('code', { class: 'command' }, `pthinspect ${quoted.join(' ')}`);
}

function tile(label, value, note) {
  return el('div', { class: 'tile' }, el('div', { class: 'tilelabel' }, label), el('div', { class: 'tilevalue' }, value), note && el('div', { class: 'note' }, note));
}

// -- overview

function overview() {
  const { document: data } = model;
  const { totals } = data;
  const unused = totals.stored - totals.referenced;
  return el('div', { class: 'view' }, el('h1', {}, 'Overview'),
    el('div', { class: 'tiles' },
      tile('tensors', grouped(totals.tensors), `in ${count(totals.storages, 'storage')}`),
      tile('elements', grouped(totals.elements)),
      tile('stored', inBytes(totals.stored), unused > 0 ? `${inBytes(unused)} of it used by no tensor` : 'every byte used'),
      tile('check', checkWord(), 'checksums, sizes, places'), tile('scan', scanWord(), 'what unpickling would run'),
      data.verify && tile('verify', `${data.verify.summary.identical} of ${data.verify.summary.cases}`, 'saved outputs reproduced bit for bit')),
    data.notes.length > 0 && section('Notes', null, el('ul', {}, data.notes.map((note) => el('li', {}, visible(note))))),
    section('In this page', null, inThisPage()),
    biggest(), typesPart(), metadataPart(), contentsPart(model.root, 'Everything else in the file'));
}

function checkWord() {
  const { check } = model.document;
  if (check.error) return 'not done';
  return el('span', { class: check.whole ? 'good' : 'bad' }, check.whole ? 'whole' : 'damaged');
}

function scanWord() {
  const { scan } = model.document;
  if (scan.error) return 'not done';
  return el('span', { class: scan.verdict === 'clean' ? 'good' : scan.verdict === 'unknown' ? 'warn' : 'bad' }, scan.verdict);
}

/** What is embedded, what is left out, and how to get it. */
function inThisPage() {
  const { embedded, totals, file, contents_left_out: contentsLeft } = model.document;
  const all = embedded.begun === 0 && embedded.none === 0;
  const lines = [all
    ? `All ${grouped(totals.elements)} values are here, exactly as stored.`
    : `Of ${grouped(totals.elements)} values ${grouped(embedded.elements)} are here, exactly as stored: ${count(embedded.whole, 'tensor')} whole, of ${grouped(embedded.begun)} the first filters${embedded.none ? `, of ${grouped(embedded.none)} none` : ''}. Figures and histograms are over all values.`];
  if (embedded.without_figures) lines.push(`${count(embedded.without_figures, 'tensor')} have no figures: they could not be read, or there is no room for them.`);
  if (embedded.without_details) lines.push('Histograms and norms of filters are left out for want of room.');
  if (embedded.without_map) lines.push('The map of the file is left out for want of room.');
  if (contentsLeft) lines.push(`${count(contentsLeft, 'entry', 'entries')} beside the tensors are left out.`);
  const complete = all && !embedded.without_map && !embedded.without_details && !contentsLeft;
  return [lines.map((line) => el('p', {}, line)), complete ? null : el('p', { class: 'note' }, 'A larger page: ', command(['report', file, '--output', 'page.html', '--max-bytes', '50M']),
    ' · every value: ', command(['export', file, '--output', 'weights/']))];
}

/** The largest tensors as bars. */
function biggest() {
  const list = model.tensors.filter((tensor) => tensor.part_of === undefined).sort((a, b) => b.nbytes - a.nbytes).slice(0, 12).filter((tensor) => tensor.nbytes > 0);
  if (!list.length) return null;
  return section('Largest tensors', null, el('ul', { class: 'bars' }, list.map((tensor) => {
    const fill = el('span', { class: 'fill' });
    fill.style.width = `${Math.max(0.5, 100 * tensor.nbytes / list[0].nbytes)}%`;
    return el('li', {}, el('span', { class: 'barname' }, tensorLink(tensor)), el('span', { class: 'bartrack' }, fill), el('span', { class: 'num' }, inBytes(tensor.nbytes)));
  })));
}

function typesPart() {
  const sums = new Map();
  for (const tensor of model.tensors) {
    const sum = sums.get(tensor.dtype) || [0, 0, 0];
    sums.set(tensor.dtype, [sum[0] + 1, sum[1] + tensor.numel, sum[2] + tensor.nbytes]);
  }
  if (!sums.size) return section('Tensors', null, el('p', {}, 'This file holds no tensor.'));
  return section('Element types', null, el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ['type', 'tensors', 'elements', 'bytes'].map((text) => el('th', { scope: 'col' }, text)))),
    el('tbody', {}, [...sums].map(([dtype, [tensors, numel, nbytes]]) => el('tr', {}, el('th', { scope: 'row' }, dtype), [tensors, numel].map((number) => el('td', { class: 'num' }, grouped(number))), el('td', { class: 'num' }, inBytes(nbytes))))))));
}

function metadataPart() {
  const entries = Object.entries(model.document.metadata);
  return entries.length ? section('Metadata', null, facts(entries.slice(0, 200).map(([key, value]) => [visible(key), el('span', { class: 'long-text' }, visible(value.length > 2000 ? `${value.slice(0, 2000)}…` : value))]))) : null;
}

/** Numbers, texts and objects below a node, a level at a time. */
function contentsPart(node, title) {
  const shown = [...node.children.values()].filter((child) => child.text || (child.module && !child.tensor));
  if (!shown.length) return null;
  const most = 200;
  return section(title, null, facts(shown.slice(0, most).map((child) => [
    child.children.size ? el('a', { href: `#name=${encodeURIComponent(child.name)}` }, nodeLabel(child)) : nodeLabel(child), el('code', {}, visible(child.module ? child.module.text : child.text))])),
  shown.length > most && el('p', { class: 'note' }, `and ${grouped(shown.length - most)} more: `, command(['tree', model.document.file, '--all'])));
}

// -- groups

function crumbs(node) {
  const way = [];
  for (let up = node; up && up !== model.root; up = up.parent) way.unshift(up);
  return el('nav', { class: 'crumbs', 'aria-label': 'Where this lies' }, el('a', { href: '#overview' }, 'file'), way.map((step, k) => [' › ', k === way.length - 1
    ? el('span', { 'aria-current': 'page' }, nodeLabel(step)) : el('a', { href: nodeAddress(step) }, nodeLabel(step))]));
}

/** A layer is shown by its weight, with the rest beside it. */
function nodeAddress(node) {
  const weight = node.children.get('weight');
  if (node.tensor) return address(node.tensor);
  return weight && weight.tensor && weight.tensor.kind !== undefined ? address(weight.tensor) : `#name=${encodeURIComponent(node.name)}`;
}

/** A module, dict or list: what is in it. */
function groupView(node) {
  const below = [];
  const waiting = [node];
  while (waiting.length) {
    const next = waiting.pop();
    if (next.tensor) below.push(next.tensor);
    waiting.push(...[...next.children.values()].reverse());
  }
  const nbytes = below.reduce((sum, tensor) => sum + (tensor.part_of === undefined ? tensor.nbytes : 0), 0);
  const most = 400;
  return el('div', { class: 'view' }, crumbs(node), el('h1', {}, nodeLabel(node)),
    node.module && el('p', { class: 'lead' }, el('code', {}, visible(node.module.text))), node.module && el('p', { class: 'note' }, visible(node.module.class)),
    !node.module && node.text && el('p', { class: 'lead' }, el('code', {}, visible(node.text))),
    node.tensors > 0 && facts([['tensors', grouped(node.tensors)], ['elements', grouped(node.numel)], ['bytes', inBytes(nbytes)]], { class: 'facts wide' }),
    below.length > 0 && section('Tensors', null, tensorTable(below.slice(0, most)), below.length > most && el('p', { class: 'note' }, `and ${grouped(below.length - most)} more, in the tree.`)),
    attributesPart(node.module), contentsPart(node, 'Contents'));
}

function attributesPart(module) {
  const entries = module ? Object.entries(module.attributes) : [];
  return entries.length ? section('Attributes', null, facts(entries.map(([key, value]) => [visible(key), el('code', {}, visible(JSON.stringify(value)))]))) : null;
}

function tensorTable(list) {
  return el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ['name', 'shape', 'type', 'bytes', 'mean', 'std', 'min', 'max'].map((text) => el('th', { scope: 'col' }, text)))),
    el('tbody', {}, list.map((tensor) => {
      const figures = tensor.figures || {};
      return el('tr', {}, el('th', { scope: 'row' }, tensorLink(tensor)), el('td', {}, shapeText(tensor)), el('td', {}, tensor.dtype), el('td', { class: 'num' }, inBytes(tensor.nbytes)),
        ['mean', 'std', 'min', 'max'].map((name) => el('td', { class: 'num' }, figure(figures[name]))));
    }))));
}

function shapeText(tensor) {
  return tensor.layout === 'nested' || tensor.layout === 'jagged' ? tensor.layout : sizes(tensor.shape);
}

// -- one tensor

function tensorView(tensor) {
  const { node } = tensor;
  const kind = tensor.kind === undefined ? null : model.document.kinds[tensor.kind];
  const parts = model.tensors.filter((other) => other.part_of === tensor.number);
  const siblings = node.parent ? [...node.parent.children.values()].map((child) => child.tensor).filter((other) => other && other !== tensor) : [];
  let explorer = null;
  const pick = (index, moveFocus) => {
    if (!explorer) return;
    explorer.pin(index);
    explorer.node.scrollIntoView({ block: 'nearest' });
    if (moveFocus && explorer.selectedCell) explorer.selectedCell.focus();
  };
  const canExplore = tensor.numel > 0 && tensor.storage !== undefined && isAddressable(tensor);
  const explorerPart = () => {
    explorer = new Explorer(tensor);
    explorer.select(explorer.index);
    return section('Layout', 'Point at a weight or a byte: its place lights up everywhere. Click to hold it; arrow keys move.', explorer.node);
  };
  return el('div', { class: 'view' }, crumbs(node), el('h1', {}, shorten(tensor.name || '(the tensor)', 120), el('small', {}, ` ${shapeText(tensor)} ${tensor.dtype}`)),
    kind && kind.name && layerLead(tensor, kind), tensorFacts(tensor), embedNote(tensor),
    siblings.length > 0 && siblings.length <= 40 && el('p', { class: 'siblings' }, 'beside it: ', siblings.map((other, k) => [k ? ', ' : '', tensorLink(other, other.node.key)])),
    parts.length > 0 && section('Parts', 'What this tensor is made of.', tensorTable(parts)),
    Object.keys(tensor.extra || {}).length > 0 && section('More', null, facts(Object.entries(tensor.extra).map(([key, value]) => [visible(key), el('code', { class: 'long-text' }, shorten(JSON.stringify(value), 400))]))),
    filtersPart(tensor, pick), canExplore ? explorerPart() : null,
    figuresPart(tensor, pick), tensor.conv ? section('Output size', null, convolutionPart(tensor)) : null,
    node.parent && attributesPart(node.parent.module), contentsPart(node, 'Contents'));
}

/** One sentence on what the axes mean. */
function layerLead(tensor, kind) {
  const path = tensor.name.replace(/\.?weight$/, '');
  const module = model.modules.get(path);
  const axes = axesOf(tensor);
  const source = kind.known_by === 'class' ? 'the file names the class' : 'told by the shapes: a state dict holds no classes';
  return el('div', { class: 'lead' }, el('p', {}, el('strong', {}, kind.name), module ? [' ', el('code', {}, visible(module.text))] : null, el('small', {}, ` ${source}`)),
    tensor.conv && el('p', {}, convolutionWords(tensor)),
    axes.length > 0 && el('p', {}, 'Weight ', el('code', {}, `(${axes.map((axis) => axis.letter).join(', ')})`), ' is flat ', el('code', {}, flatFormula(tensor)),
      tensor.memory ? [' and storage element ', el('code', {}, storageFormula(tensor))] : null, '.'));
}

function convolutionWords(tensor) {
  const conv = convolutionOf(tensor);
  const kernel = conv.kernel.join(' × ');
  const perGroup = conv.transposed ? tensor.shape[0] / conv.groups : tensor.shape[1];
  if (conv.transposed) return `${count(conv.inChannels, 'input channel')}, each spread by ${kernel} weights into ${count(tensor.shape[1], 'output map')}${conv.groups > 1 ? ` of its group, ${conv.groups} groups` : ''}.`;
  const sees = conv.groups > 1 ? `the ${perGroup === 1 ? 'one channel' : `${perGroup} channels`} of its group (${conv.groups} groups of ${conv.outChannels / conv.groups} filters)` : count(conv.inChannels, 'channel');
  return `${count(conv.outChannels, 'filter')}; each sees ${sees} with ${kernel} weights per channel, and its products are summed into one output map.`;
}

function tensorFacts(tensor) {
  const storage = storageOf(tensor);
  const others = storage ? tensorsOnStorage(tensor.storage).filter((other) => other !== tensor) : [];
  const [from] = storage && isAddressable(tensor) && tensor.numel ? byteRange(tensor, tensor.storage_offset || 0) : [null];
  return facts([
    ['elements', grouped(tensor.numel)], ['bytes', grouped(tensor.nbytes)],
    ['in memory', tensor.memory || (tensor.layout ? visible(tensor.layout) : 'C order, no gaps')],
    tensor.stride && ['stride', el('code', {}, `(${tensor.stride.join(', ')})`)], tensor.storage_offset ? ['storage offset', grouped(tensor.storage_offset)] : null,
    storage && ['storage', `${visible(storage.key || '–')}${storage.file ? ` in ${visible(storage.file)}` : ''}`],
    from !== null && isInFile(tensor) && ['first byte in the file', `${grouped(from)} (${hex(from)})`],
    storage && !isInFile(tensor) && ['in the file', 'compressed, or in pieces'], !storage && !tensor.layout && ['in the file', 'nothing: a meta tensor has no elements'],
    others.length > 0 && ['shares its storage with', [others.slice(0, 8).map((other, k) => [k ? ', ' : '', tensorLink(other)]), others.length > 8 ? ` and ${grouped(others.length - 8)} more` : '']],
    tensor.lazy ? ['lazy', 'conjugated or negated when read: the stored bits are not the value’s'] : null,
  ], { class: 'facts wide' });
}

/** What of the tensor is in the page; how to get the rest. */
function embedNote(tensor) {
  if (tensor.unread) return el('p', { class: 'warn note' }, `Its elements cannot be read: ${visible(tensor.unread)}.`);
  const there = embeddedCount(tensor);
  if (!tensor.numel || tensor.storage === undefined || there === tensor.numel) return null;
  const part = there ? `The first ${grouped(there)} of ${grouped(tensor.numel)} values are in this page` : 'No value of this tensor is in this page';
  return el('p', { class: 'note' }, `${part}; places are known for all. Every value: `, command(['export', tensor.name, model.document.file, '--output', 'weights.npy']));
}

function filtersPart(tensor, pick) {
  const isPlain = embeddedCount(tensor) > 0 && isAddressable(tensor);
  if (!isPlain) return null;
  if (tensor.conv && !tensor.conv.transposed && tensor.shape.length >= 3 && tensor.shape.length <= 5) {
    const area = tensor.shape.slice(2).reduce((a, b) => a * b, 1);
    const perFilter = tensor.numel / tensor.shape[0];
    if (area > 1 && area <= 4096 && embeddedCount(tensor) >= perFilter) {
      const filters = new Filters(tensor, pick);
      requestAnimationFrame(() => filters.draw());
      return section('Filters', null, filters.node);
    }
  }
  if (tensor.shape.length >= 2 && tensor.numel > 1) {
    const picture = matrixPicture(flatMatrix(tensor), (index, focus) => pick(indexOf(tensor, flatOf(flatMatrix(tensor), index)), focus));
    return picture && section('As a picture', tensor.shape.length === 2 ? 'A row for each output, a column for each input.' : 'A row for each index of the first axis.', picture);
  }
  return null;
}

/** The tensor as the matrix [first axis, everything else]. */
function flatMatrix(tensor) {
  return tensor.shape.length === 2 ? tensor : { ...tensor, shape: [tensor.shape[0], tensor.numel / tensor.shape[0]], stride: undefined, memory: undefined };
}

function figuresPart(tensor, pick) {
  const { figures } = tensor;
  if (!figures) return null;
  const isComplex = tensor.dtype.includes('complex');
  const share = (number) => (number ? `${grouped(number)} (${ratio(number, tensor.numel)})` : '0');
  return section('Figures', isComplex ? 'Of the moduli.' : tensor.extra && tensor.dtype.startsWith('q') ? 'Of the stored integers, before scale and zero point.' : null,
    facts([['smallest', figure(figures.min)], ['largest', figure(figures.max)], ['mean', figure(figures.mean)], ['standard deviation', figure(figures.std)], ['norm', figure(figures.norm)],
      ['zeros', share(figures.zeros)], ['NaN', figures.nan ? el('span', { class: 'bad' }, share(figures.nan)) : '0'], ['infinite', figures.inf ? el('span', { class: 'bad' }, share(figures.inf)) : '0']], { class: 'facts wide' }),
    figures.histogram && figures.histogram.length > 0 && histogram(figures, isComplex ? 'float64' : tensor.dtype),
    figures.norms && figures.norms.length > 1 && [el('h3', {}, 'Norm of each filter'), normBars(tensor, pick)]);
}

// -- map, shapes, findings

function mapView() {
  const { maps, embedded } = model.document;
  const why = embedded.without_map ? 'The map is left out of this page for want of room.' : 'There is no map of this file.';
  return el('div', { class: 'view' }, el('h1', {}, 'File map'), el('p', { class: 'lead' }, 'Every byte of the file has an owner. Point at the bar, ask for a byte, or go through the list.'),
    maps.length ? maps.slice(0, 32).map((map) => new FileMapPart(map).node) : el('p', {}, why, ' ', command(['check', '--map', model.document.file])));
}

function shapesView() {
  const chains = sequentials();
  const { shapes, modules } = model.document;
  const walks = (shapes && shapes.walks) || [];
  const convolutions = model.tensors.filter((tensor) => tensor.conv);
  const isLive = chains.some(isWholeChain);
  const why = modules.length ? visible(shapes && shapes.error) || 'In which order the layers run is in the model’s code, not in the file.' : 'This file holds tensors, not modules: in which order layers run, with which stride and padding, is in the model’s code.';
  return el('div', { class: 'view' }, el('h1', {}, 'Shapes'), el('p', { class: 'lead' }, 'The file fixes the channels, the input the rest. Change the input: every size follows.'),
    walks.length > 0 && !isLive && programPart(shapes),
    chains.length > 0 && !isLive && walks.length > 0 && el('h2', {}, 'Parts that run in order, with any input'),
    chains.slice(0, 40).map(chainPart),
    chains.length === 0 && walks.length === 0 && el('p', {}, why),
    convolutions.length > 0 && section('Convolutions', 'Each by itself, with its output for any input, is on its own page.', el('ul', { class: 'columns' }, convolutions.slice(0, 400).map((tensor) => el('li', {}, tensorLink(tensor, tensor.name.replace(/\.?weight$/, '')), el('small', {}, ` ${sizes(tensor.shape)}`))))));
}

function findingsView() {
  const { scan, check } = model.document;
  return el('div', { class: 'view' }, el('h1', {}, 'Findings'),
    section('Scan: what would unpickling run?', null, scan.error ? el('p', {}, visible(scan.error)) : scanPart(scan)),
    section('Check: is the file whole?', null, check.error ? el('p', {}, visible(check.error)) : checkPart(check)));
}

function scanPart(scan) {
  const rows = scan.findings.slice(0, 500);
  const names = (scan.globals || []).slice(0, 500);
  return [el('p', { class: 'verdictline' }, 'verdict: ', scanWord(), el('small', {}, ` ${count(scan.pickles || 0, 'pickle')} read, nothing executed`)),
    rows.length > 0 && el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ['level', 'what', 'why', 'where'].map((text) => el('th', { scope: 'col' }, text)))),
      el('tbody', {}, rows.map((finding) => el('tr', {}, el('td', {}, el('span', { class: finding.level === 'dangerous' ? 'bad' : 'warn' }, finding.level)), el('th', { scope: 'row' }, el('code', {}, shorten(finding.what, 80))),
        el('td', {}, visible(finding.message)), el('td', {}, shorten(`${finding.file ? `${finding.file}: ` : ''}${finding.where}`, 80))))))),
    scan.findings.length > rows.length && el('p', { class: 'note' }, 'and more: ', command(['scan', model.document.file, '--json'])),
    names.length > 0 && el('details', {}, el('summary', {}, `${count(names.length, 'name')} in the pickles`), el('ul', { class: 'columns' }, names.map((name) => el('li', {}, el('code', {}, shorten(name.name || name.what, 80)), el('small', {}, ` ${name.level || ''}`)))))];
}

function checkPart(check) {
  const list = (title, problems, level) => problems.length > 0 && [el('h3', {}, title), el('ul', {}, problems.slice(0, 300).map((problem) => el('li', {}, el('span', { class: level }, problem.kind), ' ',
    problem.what ? `${shorten(problem.what, 100)}: ` : '', visible(problem.message), problem.file_offset === null || problem.file_offset === undefined ? '' : el('small', {}, ` byte ${grouped(problem.file_offset)}`))),
  problems.length > 300 && el('li', {}, command(['check', model.document.file, '--json'])))];
  return [el('p', { class: 'verdictline' }, 'check: ', checkWord(), el('small', {}, ` ${count(check.checksums_right || 0, 'checksum')} right`)),
    list('Problems', check.problems, 'bad'), list('Notes', check.notes, 'warn'),
    check.lost.length > 0 && [el('h3', {}, 'Lost tensors'), el('ul', {}, check.lost.slice(0, 300).map(({ name, why }) => el('li', {}, el('code', {}, shorten(name, 100)), `: ${visible(why)}`)))],
    check.shared && check.shared.length > 0 && [el('h3', {}, 'Storages with several tensors'), el('ul', {}, check.shared.slice(0, 200).map((group) => el('li', {}, el('code', {}, visible(group.storage) || '–'), ': ',
      group.tensors.slice(0, 8).map((tensor, k) => [k ? ', ' : '', shorten(tensor.name, 60), k > 0 && tensor.same_elements ? el('small', {}, ' (the same elements)') : null]), group.tensors.length > 8 ? ` and ${group.tensors.length - 8} more` : '')))]];
}

function verifyView() {
  const { verify } = model.document;
  if (!verify) {
    return el('div', { class: 'view' }, el('h1', {}, 'Verify'), el('p', { class: 'lead' }, 'No saved outputs were replayed for this page. Outputs that PyTorch computed, saved with scripts/capture_golden.py, are replayed without PyTorch, and every bit must agree:'),
      el('p', {}, command(['report', model.document.file, '--output', 'page.html', '--golden', 'model.golden.safetensors'])));
  }
  const { summary, cases } = verify;
  return el('div', { class: 'view' }, el('h1', {}, 'Verify'), el('p', { class: 'verdictline' }, el('span', { class: summary.identical === summary.cases ? 'good' : 'bad' }, `${summary.identical} of ${count(summary.cases, 'case')} identical`),
    el('small', {}, ' every bit of the saved PyTorch output, the sign of zero included')),
  el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ['case', 'result', 'accumulation order', 'elements', 'identical', 'largest distance', 'first difference'].map((text) => el('th', { scope: 'col' }, text)))),
    el('tbody', {}, cases.slice(0, 2000).map(caseRow)))));
}

function caseRow(found) {
  const level = { identical: 'good', close: 'warn' }[found.status] || 'bad';
  const first = found.first_difference;
  const tensor = model.byName.get(`${found.name}.weight`);
  const why = (found.diagnosis && found.diagnosis.findings) || [];
  const words = first ? [el('code', {}, `[${first.index.join(', ')}]`), ' expected ', el('code', {}, first.expected), ' computed ', el('code', {}, first.actual)] : found.error ? visible(found.error) : '–';
  return el('tr', {}, el('th', { scope: 'row' }, tensor ? tensorLink(tensor, found.name) : visible(found.name)), el('td', {}, el('span', { class: level }, found.status)),
    el('td', {}, el('code', {}, visible(found.order || '–')), el('small', {}, ` ${found.chosen_by}`)), el('td', { class: 'num' }, grouped(found.elements)), el('td', { class: 'num' }, ratio(found.identical, found.elements)),
    el('td', { class: 'num' }, found.status === 'identical' ? '0' : `${grouped(found.max_ulp)} ULP`), el('td', {}, words, why.length > 0 && el('ul', {}, why.slice(0, 4).map((line) => el('li', {}, visible(line.text)))), distances(found.diagnosis)));
}

/** How far apart the elements are that differ, by powers of two. */
function distances(diagnosis) {
  const bars = (diagnosis && diagnosis.ulp_histogram) || [];
  const most = Math.max(...bars.map((bar) => bar.count));
  return bars.length > 0 && el('details', {}, el('summary', {}, 'distances'), el('ul', { class: 'bars' }, bars.map(({ from, to, count: elements }) => {
    const fillNode = el('span', { class: 'fill' });
    fillNode.style.width = `${100 * elements / most}%`;
    return el('li', {}, el('span', {}, from === to ? `${grouped(from)} ULP` : `${grouped(from)} – ${grouped(to)} ULPs`), el('span', { class: 'bartrack' }, fillNode), el('span', { class: 'num' }, grouped(elements)));
  })));
}
