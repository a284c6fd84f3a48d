
// ---- colour.js: a diverging map, zero in the middle ---------------------------------------------------------------------

// Blue and orange differ for every common kind of colour blindness, and both ends differ from the middle in lightness,
// so that the map reads in grey too. In the dark the middle is dark: zero is the page's own ground.
const MAPS = {
  light: [[5, 48, 97], [33, 102, 172], [103, 169, 207], [209, 229, 240], [247, 247, 245],
    [253, 224, 190], [244, 165, 90], [202, 96, 12], [115, 46, 2]],
  dark: [[186, 222, 255], [112, 178, 242], [50, 122, 196], [28, 66, 108], [34, 36, 41],
    [98, 58, 20], [184, 104, 26], [240, 160, 80], [255, 220, 176]],
};

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** Colour of a value on a scale from -most to most: [r, g, b]; `null` for what is no number. */
function colourOf(value, most) {
  if (Number.isNaN(value)) return null;
  const map = MAPS[isDark() ? 'dark' : 'light'];
  const share = most > 0 ? Math.max(-1, Math.min(1, value / most)) : 0;
  const place = (share + 1) / 2 * (map.length - 1);
  const low = Math.min(Math.floor(place), map.length - 2);
  return map[low].map((from, k) => Math.round(from + (map[low + 1][k] - from) * (place - low)));
}

function css(colour) {
  return colour ? `rgb(${colour.join(' ')})` : '';
}

/** Black or white, whichever is easier to read on the colour. */
function inkOn(colour) {
  if (!colour) return '';
  const [r, g, b] = colour.map((part) => (part / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.22 ? '#111' : '#fff';
}

/** The scale with its numbers. */
function legend(most, dtype) {
  const canvas = el('canvas', { class: 'scale', 'aria-hidden': 'true' });
  const context = sharpen(canvas, 220, 12);
  for (let x = 0; x < 220; x++) {
    context.fillStyle = css(colourOf((x / 219 * 2 - 1) * most || 0, most || 1));
    context.fillRect(x, 0, 1, 12);
  }
  const text = figure(most, dtype);
  return el('div', { class: 'legend', role: 'img', 'aria-label': `colours from minus ${text}, blue, over zero to ${text}, orange` },
    canvas, el('div', { class: 'ticks', 'aria-hidden': 'true' }, el('span', {}, `−${text}`), el('span', {}, '0'), el('span', {}, text)));
}
