// TextEncoder, TextDecoder, atob, btoa.
export function encodeUtf8(text) {
  text = String(text);
  const length = text.length;
  let bytes = new Uint8Array(length);
  let at = 0;
  for (; at < length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) break;
    bytes[at] = unit;
  }
  if (at === length) return bytes;
  const wide = new Uint8Array(at + (length - at) * 3);
  wide.set(bytes.subarray(0, at));
  let out = at;
  for (; at < length; at++) {
    let point = text.charCodeAt(at);
    if (point >= 0xd800 && point <= 0xdfff) {
      const next = at + 1 < length ? text.charCodeAt(at + 1) : 0;
      if (point < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
        point = 0x10000 + ((point - 0xd800) << 10) + (next - 0xdc00);
        at++;
      } else {
        point = 0xfffd;
      }
    }
    if (point < 0x80) {
      wide[out++] = point;
    } else if (point < 0x800) {
      wide[out++] = 0xc0 | (point >> 6);
      wide[out++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      wide[out++] = 0xe0 | (point >> 12);
      wide[out++] = 0x80 | ((point >> 6) & 63);
      wide[out++] = 0x80 | (point & 63);
    } else {
      wide[out++] = 0xf0 | (point >> 18);
      wide[out++] = 0x80 | ((point >> 12) & 63);
      wide[out++] = 0x80 | ((point >> 6) & 63);
      wide[out++] = 0x80 | (point & 63);
    }
  }
  return wide.slice(0, out);
}

const CHUNK = 4096;

function asText(units) {
  let text = "";
  for (let at = 0; at < units.length; at += CHUNK) {
    text += String.fromCharCode.apply(null, units.slice(at, at + CHUNK));
  }
  return text;
}

// Decodes as the Encoding standard says: a maximal ill-formed part becomes one U+FFFD.
// Gives the text and the number of bytes that an incomplete character at the end takes.
export function decodeUtf8(bytes, fatal, keepTail) {
  let ascii = 0;
  while (ascii < bytes.length && bytes[ascii] < 0x80) ascii++;
  if (ascii === bytes.length) return { text: asText(bytes), tail: 0 };
  const units = [];
  let at = 0;
  const bad = () => {
    if (fatal) throw new TypeError("the bytes are not UTF-8");
    units.push(0xfffd);
  };
  while (at < bytes.length) {
    const first = bytes[at];
    if (first < 0x80) { units.push(first); at++; continue; }
    let need = 0, low = 0x80, high = 0xbf, point = 0;
    if (first >= 0xc2 && first <= 0xdf) { need = 1; point = first & 31; }
    else if (first >= 0xe0 && first <= 0xef) {
      need = 2; point = first & 15;
      if (first === 0xe0) low = 0xa0;
      if (first === 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      need = 3; point = first & 7;
      if (first === 0xf0) low = 0x90;
      if (first === 0xf4) high = 0x8f;
    }
    if (need === 0) { bad(); at++; continue; }
    let seen = 0;
    while (seen < need && at + 1 + seen < bytes.length) {
      const next = bytes[at + 1 + seen];
      if (next < low || next > high) break;
      low = 0x80; high = 0xbf;
      point = (point << 6) | (next & 63);
      seen++;
    }
    if (seen < need) {
      if (keepTail && at + 1 + seen === bytes.length) return { text: asText(units), tail: seen + 1 };
      bad();
      at += seen + 1;
      continue;
    }
    at += need + 1;
    if (point >= 0x10000) {
      point -= 0x10000;
      units.push(0xd800 + (point >> 10), 0xdc00 + (point & 0x3ff));
    } else {
      units.push(point);
    }
  }
  return { text: asText(units), tail: 0 };
}

export function toBytes(data) {
  if (data instanceof Uint8Array) return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError("expected an ArrayBuffer or a view of one");
}

class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") { return encodeUtf8(text); }
  encodeInto(text, into) {
    const bytes = encodeUtf8(text);
    if (bytes.length > into.length) throw new RangeError("the text does not fit");
    into.set(bytes);
    return { read: text.length, written: bytes.length };
  }
}

class TextDecoder {
  #fatal; #ignoreBOM; #kept = new Uint8Array(0); #started = false;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(String(label).trim().toLowerCase())) {
      throw new RangeError(`the encoding ${label} is not supported, only utf-8`);
    }
    this.#fatal = fatal;
    this.#ignoreBOM = ignoreBOM;
  }
  get encoding() { return "utf-8"; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(data, { stream = false } = {}) {
    let bytes = data === undefined ? new Uint8Array(0) : toBytes(data);
    if (this.#kept.length > 0) {
      const joined = new Uint8Array(this.#kept.length + bytes.length);
      joined.set(this.#kept);
      joined.set(bytes, this.#kept.length);
      bytes = joined;
    }
    const { text, tail } = decodeUtf8(bytes, this.#fatal, stream);
    this.#kept = bytes.slice(bytes.length - tail);
    const first = !this.#started;
    this.#started = stream && (this.#started || text.length > 0);
    return first && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function badCharacter(what) {
  const error = new Error(what);
  error.name = "InvalidCharacterError";
  return error;
}

export function btoa(text) {
  text = String(text);
  let out = "";
  for (let at = 0; at < text.length; at += 3) {
    const [a, b, c] = [0, 1, 2].map((index) => text.charCodeAt(at + index));
    if (a > 255 || b > 255 || c > 255) throw badCharacter("btoa takes characters up to U+00FF only");
    const bits = (a << 16) | ((b || 0) << 8) | (c || 0);
    out += DIGITS[bits >> 18] + DIGITS[(bits >> 12) & 63];
    out += at + 1 < text.length ? DIGITS[(bits >> 6) & 63] : "=";
    out += at + 2 < text.length ? DIGITS[bits & 63] : "=";
  }
  return out;
}

export function atob(text) {
  text = String(text).replace(/[\t\n\f\r ]/g, "");
  if (text.length % 4 === 0) text = text.replace(/={1,2}$/, "");
  if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw badCharacter("not base 64");
  let out = "", bits = 0, count = 0;
  for (const character of text) {
    bits = ((bits << 6) | DIGITS.indexOf(character)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += String.fromCharCode((bits >> count) & 255);
    }
  }
  return out;
}

Object.assign(globalThis, { TextEncoder, TextDecoder, atob, btoa });
