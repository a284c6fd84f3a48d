
// ---- numbers.js: numbers as people read them -------------------------------------------------------------------------

function grouped(number) {
  if (!Number.isFinite(number)) return '?';
  if (Math.abs(number) > Number.MAX_SAFE_INTEGER) return `about ${number.toExponential(3)}`;
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',');
}

function count(number, one, many) {
  return `${grouped(number)} ${number === 1 ? one : many || `${one}s`}`;
}

/** `4,096 B`, `37.6 kB`, `102 MB`: decimal units, three digits. */
function inBytes(number) {
  if (number < 10000) return `${grouped(number)} B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = -1;
  let value = number;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}

function hex(number, digits) {
  return `0x${number.toString(16).padStart(digits || 1, '0')}`;
}

function sizes(list) {
  return list.length ? list.map(grouped).join(' × ') : 'scalar';
}

function ratio(part, whole) {
  if (!whole) return '0 %';
  const percent = 100 * part / whole;
  return percent === 0 || percent >= 0.1 ? `${Number(percent.toPrecision(3))} %` : '< 0.1 %';
}

/** Four digits, for figures. */
function figure(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return grouped(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(3);
}

/** Three digits, for the cells of a grid. */
function brief(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '−inf';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e5) return String(value);
  return size >= 1e-3 && size < 1e4 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

/** Significant bits and least exponent of the float types that are wider than a byte. */
const FLOATS = {
  float64: [53, -1022], complex128: [53, -1022], float32: [24, -126], complex64: [24, -126],
  float16: [11, -14], complex32: [11, -14], bfloat16: [8, -126], bcomplex32: [8, -126],
};

/** A number rounded to so many digits; of two that are equally near the even one, where `toPrecision` takes the larger. */
function rounded(value, digits) {
  const [mantissa, exponent] = Math.abs(value).toExponential(100).split('e');
  const all = mantissa.replace('.', '');
  const isTie = /^50*$/.test(all.slice(digits)) && Number(all[digits - 1]) % 2 === 0;
  if (!isTie) return Number(value.toPrecision(digits));
  return Math.sign(value) * Number(`${all[0]}.${all.slice(1, digits)}e${exponent}`);
}

/** The shortest decimal text that the float type reads back as `value`, one of its numbers. */
function shortest(value, dtype) {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const float = FLOATS[dtype];
  let read = value;
  if (float && float[0] < 53) {
    // half the distance to the nearer neighbour: what lies closer than that is read as `value`
    const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), float[1]);
    const isPower = Math.abs(value) === 2 ** exponent && exponent > float[1];
    const half = 2 ** (exponent - float[0] - (isPower ? 1 : 0));
    for (let digits = 1; digits <= 17; digits++) {
      read = rounded(value, digits);
      if (Math.abs(read - value) < half) break;
    }
  }
  const size = Math.abs(read);
  if (size >= 1e-4 && size < 1e16) return Number.isInteger(read) ? `${read}.0` : String(read);
  return read.toExponential();
}
