// A headless Chromium and its pages, by the DevTools protocol over two pipes: no port, no package.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--force-color-profile=srgb', '--remote-debugging-pipe'];

export class Chrome {
  constructor(program) {
    this.folder = mkdtempSync(join(tmpdir(), 'pthinspect-page-'));
    this.process = spawn(program, [...FLAGS, `--user-data-dir=${this.folder}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.waiting = new Map();
    this.listeners = new Map();
    this.last = 0;
    let rest = Buffer.alloc(0);
    this.process.stdio[4].on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.receive(JSON.parse(rest.subarray(0, end).toString()));
        rest = rest.subarray(end + 1);
      }
    });
  }

  receive(message) {
    if (message.id) {
      const { resolve, reject, method } = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error) reject(new Error(`${method}: ${message.error.message}`));
      else resolve(message.result);
    } else {
      const listener = this.listeners.get(message.sessionId);
      if (listener) listener(message.method, message.params);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.last;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, method }));
  }

  async page(options) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    await page.prepare(options);
    return page;
  }

  async close() {
    await Promise.race([this.send('Browser.close').catch(() => {}), new Promise((resolve) => setTimeout(resolve, 3000))]);
    this.process.kill();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await new Promise((resolve) => this.process.exitCode === null ? this.process.once("exit", resolve) : resolve());
    try {
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    } catch {
      // a process of the browser's that has not ended yet still writes there; it is a temporary folder
    }
  }
}

const KEYS = { ArrowDown: 40, ArrowUp: 38, ArrowLeft: 37, ArrowRight: 39, Enter: 13, Escape: 27, Tab: 9, Home: 36, End: 35, PageDown: 34, PageUp: 33, ' ': 32 };

export class Page {
  constructor(chrome, session, target) {
    Object.assign(this, { chrome, session, target });
    this.messages = []; // console errors and warnings, exceptions, dialogs, refused things
    this.requests = []; // anything asked of anything but the page itself
    chrome.listeners.set(session, (method, params) => this.hear(method, params));
  }

  hear(method, params) {
    if (method === 'Runtime.exceptionThrown') this.messages.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled') this.messages.push(`console.${params.type}: ${params.args.map((a) => a.value).join(' ')}`);
    if (method === 'Log.entryAdded') this.messages.push(`${params.entry.level}: ${params.entry.text}`);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    if (method === 'Page.javascriptDialogOpening') {
      this.messages.push(`dialog: ${params.message}`);
      this.send('Page.handleJavaScriptDialog', { accept: true });
    }
  }

  send(method, params) {
    return this.chrome.send(method, params, this.session);
  }

  async prepare({ width = 1280, height = 860, dark = false, scale = 1 } = {}) {
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.send(`${domain}.enable`);
    await this.size(width, height, scale);
    await this.theme(dark);
  }

  size(width, height, deviceScaleFactor = 1) {
    return this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor, mobile: false });
  }

  theme(dark) {
    return this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
  }

  /** Opens a file and waits until it has drawn itself; seconds that took. */
  async open(path, hash = '') {
    const start = performance.now();
    this.url = `file://${path}${hash}`;
    await this.send('Page.navigate', { url: this.url });
    await this.until(`location.href.startsWith('file:') && document.documentElement.dataset.ready === 'yes'`, `${path} to be ready`);
    return (performance.now() - start) / 1000;
  }

  /** What an expression gives; the page's own top-level names are there. */
  async get(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description || exceptionDetails.text}`);
    return result.value;
  }

  async until(expression, what = expression) {
    const end = Date.now() + 60000;
    while (Date.now() < end) {
      if (await this.get(expression).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    throw new Error(`waited in vain for ${what}`);
  }

  /** The view at an address within the page. */
  async go(hash) {
    await this.get(`location.hash = ${JSON.stringify(hash)}`);
    await this.settle();
  }

  /** Two frames: what was to be drawn is drawn. */
  settle() {
    return this.get('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 0))))');
  }

  async place(selector, at = [0.5, 0.5]) {
    const box = await this.get(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); if (!e) return null; e.scrollIntoView({ block: 'center' });
      const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()`);
    if (!box) throw new Error(`nothing is ${selector}`);
    return [box[0] + box[2] * at[0], box[1] + box[3] * at[1]];
  }

  async hover(selector, at) {
    const [x, y] = await this.place(selector, at);
    await this.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
    await this.settle();
  }

  async click(selector, at) {
    const [x, y] = await this.place(selector, at);
    await this.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
    for (const type of ['mousePressed', 'mouseReleased']) await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    await this.settle();
  }

  async press(key, times = 1) {
    for (let k = 0; k < times; k++) {
      const text = key.length === 1 ? key : key === 'Enter' ? '\r' : undefined;
      const code = { key, windowsVirtualKeyCode: KEYS[key] || key.toUpperCase().charCodeAt(0), text };
      await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...code });
      await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...code });
    }
    await this.settle();
  }

  async type(text) {
    await this.send('Input.insertText', { text });
    await this.settle();
  }

  /** Puts text into the field that has the selector. */
  async fill(selector, text) {
    await this.get(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.focus(); e.select(); })()`);
    await this.type(text);
  }

  text(selector) {
    return this.get(`(document.querySelector(${JSON.stringify(selector)}) || { textContent: null }).textContent`);
  }

  async picture(options = {}) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', ...options });
    return Buffer.from(data, 'base64');
  }

  async print() {
    const { data } = await this.send('Page.printToPDF', { printBackground: true });
    return Buffer.from(data, 'base64');
  }

  close() {
    return this.chrome.send('Target.closeTarget', { targetId: this.target });
  }
}
