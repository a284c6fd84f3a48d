// The page of `pthinspect report` in a real Chromium: what it shows, how it is pointed at and typed at, what it asks of the
// network (nothing) and what it complains of (nothing).
//
//     node tests/page/run.mjs BINARY [CHROMIUM] [--picture docs/report.png] [--only WORD]
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Chrome } from './chrome.mjs';
import { hostile, many, resnet50, writeSafetensors } from './models.mjs';

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : undefined);
const [pictureTo, only] = [option('--picture'), option('--only')];
const [binary, program = '/usr/bin/chromium'] = args;
const root = resolve(import.meta.dirname || '.', '../..');
const folder = mkdtempSync(join(tmpdir(), 'pthinspect-report-'));
const chrome = new Chrome(program);
const tests = [];
const test = (name, body) => tests.push({ name, body });
const fixture = (name) => join(root, 'fixtures', name);

/** Runs the program; it must end with one of `codes`. */
function pthinspect(words, codes = [0]) {
  const { status, stdout, stderr } = spawnSync(resolve(binary), words, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 30 });
  assert.ok(codes.includes(status), `pthinspect ${words.join(' ')}: exit ${status}: ${stderr}`);
  return stdout;
}

/** The page of a file. */
function report(file, more = [], codes = [0]) {
  const page = join(folder, `${file.replace(/[^\w.-]/g, '_').slice(-80)}.html`);
  pthinspect(['report', file, '--output', page, ...more], codes);
  return page;
}

/** Opens a page, hands it over, and holds it to what every page must hold. */
async function on(file, hash, body, options) {
  const page = await chrome.page(options);
  const seconds = await page.open(file, hash);
  await body(page, seconds);
  assert.deepEqual(page.messages, [], `${file}: messages`);
  assert.deepEqual(page.requests.filter((url) => url.split('#')[0] !== `file://${file}`), [], `${file}: requests`);
  await page.close();
}

function resnet50File() {
  const path = join(folder, 'resnet50.safetensors');
  if (!existsSync(path)) writeSafetensors(path, resnet50());
  return path;
}

const readout = async (page) => JSON.parse(await page.get(`JSON.stringify(Object.fromEntries([...document.querySelectorAll('.readout > div')].map((d) => [d.className.slice(2), d.querySelector('dd').textContent])))`));
const view = (page) => page.text('#main');

test('resnet50: small, quick to open, and says what is left out', async () => {
  const model = resnet50File();
  const file = report(model);
  const size = statSync(file).size;
  assert.ok(size < 5_000_000, `the page has ${size} bytes`);
  await on(file, '', async (page, seconds) => {
    console.log(`      ${(size / 1e6).toFixed(2)} MB, opened in ${seconds.toFixed(2)} s`);
    const text = await view(page);
    assert.match(text, /25,610,152/);
    assert.match(text, /the first filters/);
    assert.match(text, /--max-bytes/);
    await page.go('#name=layer4.2.conv2.weight');
    assert.match(await view(page), /The first [\d,]+ of 2,359,296 values are in this page/);
    // places are known for what is not embedded
    await page.fill('.goto', '511,511,2,2');
    await page.press('Enter');
    const told = await readout(page);
    assert.equal(told.value, 'not embedded');
    const at = JSON.parse(pthinspect(['layer', 'layer4.2.conv2', model, '--at', '511,511,2,2', '--json'])).element;
    assert.equal(told.byte.split(' ')[0].replaceAll(',', ''), String(at.file_offset));
  });
  const tight = report(model, ['--max-bytes', '400k']);
  assert.ok(statSync(tight).size <= 400 << 10, `--max-bytes 400k gave ${statSync(tight).size}`);
  await on(tight, '', async (page) => assert.match(await view(page), /400k|are here/));
  assert.match(spawnSync(resolve(binary), ['report', model, '--output', join(folder, 'no.html'), '--max-bytes', '1000'], { encoding: 'utf8' }).stderr, /error: .*--max-bytes allows 1000\nhint: /);
  assert.ok(!existsSync(join(folder, 'no.html')));
});

test('pointing: grid, memory and bytes follow each other', async () => {
  const file = fixture('questions/cifar_q1.pth.tar');
  await on(report(file), '#name=state_dict.module.conv1.weight', async (page) => {
    await page.fill('.goto', '7,2,4,1');
    await page.press('Enter');
    const wanted = JSON.parse(pthinspect(['layer', 'conv1', file, '--at', '7,2,4,1', '--json'])).element;
    let told = await readout(page);
    assert.equal(told.index, '[7, 2, 4, 1]');
    assert.equal(told.flat, String(wanted.flat));
    assert.equal(told.byte.split(' ')[0].replaceAll(',', ''), String(wanted.file_offset));
    assert.equal(Number(told.value), wanted.value);
    assert.equal(told.hex.replaceAll(' ', ''), wanted.bytes);
    assert.equal(await page.get(`document.querySelector('.mem.selected').dataset.at`), String(wanted.storage_element));
    assert.deepEqual(JSON.parse(await page.get(`JSON.stringify([...document.querySelectorAll('.byte.selected')].map((b) => Number(b.dataset.at)))`)), [0, 1, 2, 3].map((k) => wanted.file_offset + k));
    // by hovering a cell, then a byte, then an element of memory; leaving brings the held one back
    await page.hover('.cell[aria-label^="[7, 1, 2, 3]"]');
    assert.equal((await readout(page)).index, '[7, 1, 2, 3]');
    assert.equal((await readout(page)).flat, '563');
    const byte = `.byte[data-at="${await page.get(`Number(document.querySelector('.byte.selected').dataset.at) + 4`)}"]`;
    await page.hover(byte);
    assert.equal((await readout(page)).index, '[7, 1, 2, 4]');
    assert.ok(await page.get(`document.querySelector('.cell.selected').getAttribute('aria-label').startsWith('[7, 1, 2, 4]')`));
    await page.hover('.mem[data-at="562"]');
    assert.equal((await readout(page)).index, '[7, 1, 2, 2]');
    await page.hover('h1');
    assert.equal((await readout(page)).index, '[7, 2, 4, 1]');
    await page.click('.cell[aria-label^="[7, 0, 0, 0]"]');
    await page.hover('h1');
    assert.equal((await readout(page)).index, '[7, 0, 0, 0]');
    for (const [text, index] of [['flat 596', '[7, 2, 4, 1]'], ['byte 1920', '[0, 0, 0, 0]'], ['byte 0x787', '[0, 0, 0, 1]'], ['[191, 2, 4, 4]', '[191, 2, 4, 4]']]) {
      await page.fill('.goto', text);
      await page.press('Enter');
      assert.equal((await readout(page)).index, index, text);
    }
    await page.fill('.goto', '192,0,0,0');
    await page.press('Enter');
    assert.ok(await page.get(`document.querySelector('.goto').classList.contains('wrong')`));
    // the whole run: a click in its middle
    await page.click('.bar', [0.5, 0.5]);
    assert.equal((await readout(page)).index, '[96, 0, 0, 0]');
    // a filter's picture leads to its weights
    await page.click('canvas.filters', [0.02, 0.02]);
    assert.match((await readout(page)).index, /^\[0, /);
  });
});

test('keys: arrows in grid, memory, bytes and pictures', async () => {
  await on(report(fixture('questions/cifar_q1.pth.tar')), '#name=state_dict.module.conv1.weight', async (page) => {
    await page.click('.cell[aria-label^="[0, 0, 0, 0]"]');
    await page.get(`document.querySelector('.cell.selected').focus()`);
    const steps = [['ArrowRight', '[0, 0, 0, 1]'], ['ArrowDown', '[0, 0, 1, 1]'], ['End', '[0, 0, 1, 4]'], ['ArrowRight', '[0, 1, 1, 0]'], ['ArrowLeft', '[0, 0, 1, 4]'], ['PageDown', '[1, 0, 1, 4]'], ['Home', '[1, 0, 1, 0]'], ['ArrowUp', '[1, 0, 0, 0]'], ['ArrowUp', '[1, 0, 0, 0]']];
    for (const [key, index] of steps) {
      await page.press(key);
      assert.equal((await readout(page)).index, index, key);
      assert.ok(await page.get(`document.activeElement.classList.contains('cell') && document.activeElement.classList.contains('selected')`), `focus after ${key}`);
    }
    await page.get(`document.querySelector('.mem.selected').focus()`);
    await page.press('ArrowRight', 3);
    assert.equal((await readout(page)).flat, '78');
    await page.press('ArrowRight', 40);
    assert.equal((await readout(page)).flat, '118');
    assert.ok(await page.get(`document.activeElement.classList.contains('mem')`));
    await page.get(`document.querySelector('.byte.selected').focus()`);
    await page.press('ArrowLeft');
    assert.equal((await readout(page)).flat, '117');
    await page.press('ArrowDown');
    assert.equal((await readout(page)).flat, '121');
    await page.get(`document.querySelector('canvas.filters').focus()`);
    await page.press('ArrowRight', 5);
    assert.match(await page.text('.pictures .note'), /filter 5/);
    await page.press('Enter');
    assert.equal((await readout(page)).index, '[5, 0, 0, 0]');
    await page.get(`document.querySelector('canvas.norms').focus()`);
    await page.press('ArrowRight', 2);
    await page.press('Enter');
    assert.equal((await readout(page)).index, '[2, 0, 0, 0]');
    // what has the focus is seen to have it
    assert.ok(await page.get(`getComputedStyle(document.activeElement).outlineStyle !== 'none'`));
  });
});

test('search and tree by keys', async () => {
  await on(report(resnet50File()), '', async (page) => {
    await page.press('/');
    assert.ok(await page.get(`document.activeElement.type === 'search'`));
    await page.type('layer4 conv2');
    assert.equal(await page.text('.found'), '3 matches');
    await page.press('ArrowDown');
    await page.press('ArrowDown');
    await page.press('Enter');
    assert.equal(await page.text('h1'), 'layer4.1.conv2.weight 512 × 512 × 3 × 3 float32');
    await page.press('Escape');
    assert.equal(await page.text('.found'), '');
    assert.equal(await page.get(`document.querySelector('.row[aria-selected=true] .key').textContent`), 'weight');
    await page.press('Home');
    await page.press('ArrowRight');
    assert.equal(await page.get(`document.querySelector('.row.current').getAttribute('aria-expanded')`), 'true');
    await page.press('ArrowRight');
    assert.equal(await page.get(`document.querySelector('.row.current .key').textContent`), 'weight');
    await page.press('ArrowLeft');
    await page.press('ArrowLeft');
    assert.equal(await page.get(`document.querySelector('.row.current').getAttribute('aria-expanded')`), 'false');
    await page.press('Enter');
    assert.match(await page.text('h1'), /^conv1\.weight/);
    assert.equal(await page.get(`document.querySelector('.long').getAttribute('aria-activedescendant') === document.querySelector('.row.current').id`), true);
    await page.press('/');
    await page.type('nothing is called this');
    assert.equal(await page.text('.found'), '0 matches');
    await page.press('Escape');
    // by the mouse: the arrow opens, the name shows
    await page.click('.row[title="layer1"] .twist');
    assert.equal(await page.get(`document.querySelector('.row[title="layer1"]').getAttribute('aria-expanded')`), 'true');
    await page.click('.row[title="layer1"] .key');
    assert.match(await page.text('h1'), /^layer1/);
    await page.get('history.back()');
    await page.until(`document.querySelector('h1').textContent.startsWith('conv1.weight')`);
  });
});

test('every place is where the program says, in every memory order', async () => {
  let compared = 0;
  for (const name of ['views.pth', 'dtypes_strided.pth', 'big_endian.pth', 'legacy_views.pth', 'deflated.pth']) {
    const file = fixture(`checkpoints/${name}`);
    const tensors = JSON.parse(pthinspect(['ls', file, '--json'])).tensors.filter((tensor) => tensor.numel > 0 && !tensor.layout);
    await on(report(file), '', async (page) => {
      // there and back, for every element
      const lost = await page.get(`JSON.stringify(model.tensors.filter(isAddressable).flatMap((t) => Array.from({ length: Math.min(t.numel, 500) }, (_, flat) => [t, flat]))
        .filter(([t, flat]) => { const e = elementOf(t, indexOf(t, flat)); const back = indexAtElement(t, e); return !back || elementOf(t, back) !== e || flatOf(t, indexOf(t, flat)) !== flat; }).map(([t, flat]) => [t.name, flat]))`);
      assert.deepEqual(JSON.parse(lost), [], name);
      for (const tensor of tensors.slice(0, 14)) {
        const last = tensor.shape.map((size) => size - 1);
        if (!last.length) continue;
        // the name of a bias stands for its layer, and so for its weight
        const found = pthinspect(['layer', tensor.name, file, '--at', last.join(','), '--json'], [0, 2]);
        const wanted = found && JSON.parse(found);
        if (!wanted || (wanted.weight?.name !== tensor.name && wanted.name !== tensor.name)) continue;
        compared++;
        const told = JSON.parse(await page.get(`JSON.stringify((() => { const t = model.byName.get(${JSON.stringify(tensor.name)}); const i = ${JSON.stringify(last)}; const e = elementOf(t, i);
          return { element: e, byte: byteRange(t, e)[0], inFile: isInFile(t), value: valueAt(t, flatOf(t, i)), bytes: bytesAt(t, flatOf(t, i)) }; })())`));
        assert.equal(told.element, wanted.element.storage_element, `${name} ${tensor.name}`);
        if (told.inFile) assert.equal(told.byte, wanted.element.file_offset, `${name} ${tensor.name}`);
        if (typeof wanted.element.value === 'number') assert.equal(Number(told.value.text), wanted.element.value, `${name} ${tensor.name}`);
      }
    });
  }
  assert.ok(compared >= 20, `only ${compared} tensors could be compared`);
});

test('every element type is read as the program reads it', async () => {
  const file = fixture('checkpoints/dtypes.pth');
  await on(report(file), '', async (page) => {
    for (const { name, shape } of JSON.parse(pthinspect(['ls', file, '--json'])).tensors) {
      for (let row = 0; row < shape[0]; row++) {
        const { selection } = JSON.parse(pthinspect(['layer', name, file, '--filter', String(row), '--json']));
        const values = (selection.grids || []).flatMap((grid) => grid.values || grid.rows).flat();
        assert.equal(values.length, shape[1], name);
        for (let column = 0; column < shape[1]; column++) {
          const { text, number } = await page.get(`valueAt(model.byName.get(${JSON.stringify(name)}), ${row * shape[1] + column})`);
          const wanted = values[column];
          if (typeof wanted === 'number') assert.equal(Number(text), wanted, `${name} [${row}, ${column}]`);
          else if (typeof wanted === 'boolean') assert.equal(text, String(wanted));
          else assert.ok(text.length > 0 && number !== undefined, `${name} ${JSON.stringify(wanted)}`);
        }
      }
    }
    // shortest texts are those of the program
    const wanted = [[0.1, 'float32', Math.fround(0.1)], ['65500.0', 'float16', 65504], ['0.3333', 'float16', 0.333251953125], ['0.335', 'bfloat16', 0.3349609375]];
    for (const [text, dtype, value] of wanted) assert.equal(await page.get(`shortest(${value}, '${dtype}')`), String(text));
  });
});

test('a quantized integer and what it stands for', async () => {
  await on(report(fixture('checkpoints/quantized.pth')), '#name=qint8.per_channel', async (page) => {
    await page.fill('.goto', '2,1,0');
    await page.press('Enter');
    const stands = Number(await page.text('.r-real dd'));
    const { value } = await readout(page);
    // scale 0.3 and zero point 2 of channel 2
    assert.ok(Math.abs(stands - (Number(value) - 2) * 0.30000001192092896) < 1e-6, `${value} is said to stand for ${stands}`);
  });
});

test('shapes: a program in its own order, at several sizes', async () => {
  await on(report(fixture('shapes/resnet18_module.pth')), '#shapes', async (page) => {
    assert.match(await page.text('.program .verdict'), /1 × 3 × 224 × 224 → 1 × 1000; .* multiply-adds/);
    const text = await view(page);
    for (const part of ['1 × 64 × 112 × 112', '1 × 512 × 7 × 7', '⌊', 'pthinspect shapes']) assert.ok(text.includes(part), part);
    await page.get(`(() => { const list = document.querySelector('.program select'); list.value = [...list.options].find((option) => option.text.startsWith('1 × 3 × 64 × 64')).value; list.dispatchEvent(new Event('change')); return list.value; })()`);
    assert.match(await page.text('.program .verdict'), /1 × 3 × 64 × 64 → 1 × 1000/);
    assert.ok((await view(page)).includes('1 × 512 × 2 × 2'));
  });
  await on(report(fixture('shapes/mnist_q2_scripted.pt'), ['--input', '1,1,40,40']), '#shapes', async (page) => {
    assert.match(await page.text('.program .verdict'), /Breaks at /);
    assert.ok((await page.text('.program select')).includes('1 × 1 × 28 × 28'));
  });
  await on(report(fixture('shapes/branches_exported.pt2')), '#shapes', async (page) => {
    assert.match(await page.text('.program .verdict'), / and .* → /);
  });
});

test('shapes: the walk follows its input', async () => {
  await on(report(fixture('questions/mnist_q2_sequential.pth')), '#shapes', async (page) => {
    const text = await view(page);
    for (const part of ['1 × 10 × 24 × 24', '1 × 10 × 12 × 12', '1 × 20 × 8 × 8', '1 × 20 × 4 × 4', '1 × 320', '1 × 50', '1 × 10', '⌊(28 − (5 − 1) − 1) / 1⌋ + 1 = 24']) assert.ok(text.includes(part), part);
    await page.fill('.chain .sizes', '3,1,32,32');
    assert.match(await page.text('.verdict'), /Breaks at .*takes 320 features, the input has 500.*28 to 31/);
    await page.fill('.chain .sizes', '5,1,28,28');
    assert.match(await page.text('.verdict'), /5 × 1 × 28 × 28 → 5 × 10/);
    await page.fill('.chain .sizes', 'abc');
    assert.match(await page.text('.verdict'), /whole numbers/);
  });
  await on(report(fixture('questions/cifar_q1.pth.tar')), '#name=state_dict.module.conv1.weight', async (page) => {
    assert.match(await page.text('.convolution .verdict'), /1 × 192 × 28 × 28/);
    await page.fill('.convolution label:nth-of-type(2) input', '2');
    assert.match(await page.text('.convolution .verdict'), /1 × 192 × 32 × 32/);
    assert.match(await page.text('.convolution'), /⌊\(32 \+ 4 − \(5 − 1\) − 1\) \/ 1⌋ \+ 1 = 32/);
    await page.fill('.convolution label:nth-of-type(1) input', '1,4,32,32');
    assert.match(await page.text('.convolution .verdict'), /takes 3 channels, the input has 4/);
  });
});

test('the map: an owner for every byte', async () => {
  const file = fixture('checkpoints/views.pth');
  const { map } = JSON.parse(pthinspect(['check', file, '--map', '--json']));
  await on(report(file), '#map', async (page) => {
    for (const span of map.slice(0, 40)) {
      await page.fill('.mappart .sizes', String(span.to - 1));
      const words = await page.text('.mappart .note.under');
      assert.ok(words.includes(`: ${span.owner}`), `${span.to - 1}: ${words}`);
    }
    await page.fill('.mappart .sizes', '0x40');
    assert.match(await page.text('.mappart .note.under'), /^byte 64 \(0x40\): /);
    await page.get(`document.querySelector('canvas.filemap').focus()`);
    await page.press('ArrowRight', 2);
    await page.hover('canvas.filemap', [0.5, 0.5]);
    assert.match(await page.text('.mappart .note.under'), /^byte 4,\d\d\d /);
    await page.get(`(() => { const s = document.querySelector('.mappart select'); s.value = [...s.options].find((o) => o.text.startsWith('storage')).value; s.dispatchEvent(new Event('change')); })()`);
    assert.ok(await page.get(`[...document.querySelectorAll('.maprow .owner')].every((o) => o.textContent === 'storage')`));
    await page.click('.maprow');
    assert.ok(await page.get(`document.querySelector('.mappart .note.under a') !== null`));
  });
});

test('verify, scan and check', async () => {
  const golden = fixture('questions/cifar_q1.golden.safetensors');
  await on(report(fixture('questions/cifar_q1.pth.tar'), ['--golden', golden]), '#verify', async (page) => assert.match(await view(page), /(\d+) of \1 cases? identical/));
  await on(report(fixture('malicious/call_import.pth')), '#findings', async (page) => {
    assert.match(await view(page), /verdict: dangerous/);
    assert.match(await view(page), /builtins\.__import__/);
    assert.ok(await page.get(`document.querySelector('.views .dot') !== null`));
  });
});

test('names do nothing', async () => {
  const file = join(folder, 'hostile.safetensors');
  writeSafetensors(file, hostile(), { '</script><script>alert(6)</script>': '<img src=x onerror=alert(7)>' });
  await on(report(file), '', async (page) => {
    const text = await view(page);
    assert.ok(text.includes('</script><img src=x onerror=alert(1)>'));
    for (const number of await page.get('model.tensors.map((t) => t.number)')) {
      await page.go(`#tensor=${number}`);
      assert.equal(await page.get(`document.querySelectorAll('img, iframe, object').length`), 0);
      assert.equal(await page.get(`document.scripts.length`), 2);
    }
    for (const hash of ['#map', '#shapes', '#verify', '#findings', '#name=%E0%A4%A', '#tensor=99', '#<img src=x onerror=alert(8)>']) await page.go(hash);
    assert.equal(await page.get(`({}).polluted === undefined && typeof constructor`), 'function');
    assert.ok(await page.get(`!document.querySelector('#side').textContent.includes('\u202e')`));
    await page.press('/');
    await page.type('<img');
    assert.equal(await page.text('.found'), '1 match');
  });
});

test('a hundred thousand tensors', async () => {
  const file = join(folder, 'many.safetensors');
  writeSafetensors(file, many(100000));
  const made = report(file);
  await on(made, '', async (page, seconds) => {
    console.log(`      ${(statSync(made).size / 1e6).toFixed(2)} MB, opened in ${seconds.toFixed(2)} s`);
    assert.ok(await page.get(`document.querySelectorAll('.row').length < 120`));
    await page.press('/');
    await page.type('layers.99 w9');
    assert.equal(await page.text('.found'), '100 matches');
    await page.press('Escape');
    await page.press('/');
    await page.type('w');
    assert.equal(await page.text('.found'), '100,000 matches');
    await page.press('ArrowDown');
    await page.press('End');
    await page.press('Enter');
    assert.match(await page.text('h1'), /^model\.layers\.99\.experts\.99\.w9/);
  });
});

test('dark, light, narrow and on paper', async () => {
  const made = report(fixture('questions/cifar_q1.pth.tar'));
  const ground = (page) => page.get(`getComputedStyle(document.documentElement).backgroundColor`);
  await on(made, '#name=state_dict.module.conv1.weight', async (page) => {
    assert.equal(await ground(page), 'rgb(22, 24, 28)');
    const before = await page.picture();
    await page.click('.theme');
    assert.equal(await ground(page), 'rgb(251, 251, 249)');
    assert.ok(!before.equals(await page.picture()));
  }, { dark: true });
  for (const hash of ['#overview', '#name=state_dict.module.conv1.weight', '#map', '#shapes', '#verify', '#findings']) {
    await on(made, hash, async (page) => {
      assert.ok(await page.get(`document.documentElement.scrollWidth <= 360`), `${hash} is wider than the screen`);
      await page.click('.menu');
      assert.ok(await page.get(`document.querySelector('#side').getBoundingClientRect().width > 200 && document.querySelectorAll('.row').length > 0`));
      await page.press('Escape');
      assert.equal(await page.get(`getComputedStyle(document.querySelector('#side')).display`), 'none');
    }, { width: 360, height: 700 });
  }
  await on(made, '#name=state_dict.module.conv1.weight', async (page) => {
    assert.ok((await page.print()).length > 10000);
    await page.send('Emulation.setEmulatedMedia', { media: 'print' });
    assert.equal(await page.get(`getComputedStyle(document.querySelector('#side')).display`), 'none');
  });
});

test('everything that can be used has a name', async () => {
  const made = report(fixture('questions/mnist_q2_sequential.pth'));
  for (const hash of ['#overview', '#tensor=0', '#map', '#shapes', '#verify', '#findings']) {
    await on(made, hash, async (page) => {
      const { nodes } = await page.send('Accessibility.getFullAXTree');
      const used = new Set(['button', 'link', 'textbox', 'searchbox', 'combobox', 'checkbox', 'spinbutton', 'treeitem', 'tree', 'grid', 'gridcell', 'image', 'option', 'listbox']);
      const nameless = nodes.filter((node) => !node.ignored && used.has(node.role?.value) && !node.name?.value).map((node) => node.role.value);
      assert.deepEqual(nameless, [], hash);
    });
  }
});

test('every fixture has a page without complaint', async () => {
  const names = readdirSync(fixture('checkpoints')).filter((name) => !name.endsWith('.expected.json'));
  const page = await chrome.page();
  for (const name of names) {
    const made = join(folder, 'fixture.html');
    const { status, stderr } = spawnSync(resolve(binary), ['report', fixture(`checkpoints/${name}`), '--output', made], { encoding: 'utf8' });
    assert.equal(status, 0, `${name}: ${stderr}`);
    await page.send('Page.navigate', { url: 'about:blank' });
    await page.open(made);
    const count = await page.get('model.tensors.length');
    for (const hash of ['#map', '#shapes', '#findings', ...Array.from({ length: Math.min(count, 24) }, (_, k) => `#tensor=${k}`)]) await page.go(hash);
    assert.deepEqual(page.messages, [], name);
    assert.equal(await page.get(`document.querySelector('#main .bad.crash') === null && !/undefined|NaN(?! |$)|\\[object/.test(document.querySelector('#main').textContent.replace(/NaN/, ''))`), true, name);
  }
  await page.close();
  console.log(`      ${names.length} files`);
});

/** The picture that the README shows. */
async function takePicture() {
  const made = report(fixture('questions/cifar_q1.pth.tar'), ['--golden', fixture('questions/cifar_q1.golden.safetensors')]);
  await on(made, '#name=state_dict.module.conv1.weight', async (page) => {
    await page.fill('.goto', '7,2,4,1');
    await page.press('Enter');
    await page.get(`document.activeElement.blur()`);
    await page.get(`document.querySelector('.explorer').parentNode.scrollIntoView()`);
    await page.get(`window.scrollBy(0, -64)`);
    await page.settle();
    writeFileSync(pictureTo, await page.picture());
  }, { width: 1120, height: 1230 });
}

let failed = 0;
try {
  console.log(execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim());
  if (pictureTo) await takePicture();
  for (const { name, body } of tests) {
    if (pictureTo || (only && !name.includes(only))) continue;
    try {
      await body();
      console.log(`ok    ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED ${name}\n${error.stack}`);
    }
  }
} finally {
  await chrome.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(failed ? `${failed} failed` : 'all well');
process.exitCode = failed ? 1 : 0;
