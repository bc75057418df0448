// URL and URLSearchParams, after the URL standard; hosts are not converted to punycode.
import { decodeUtf8, encodeUtf8 } from "nexus:text";

const PORTS = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const PATH = /[A-Za-z0-9\-._~!$&'()*+,;=:@/%[\]|\\^]/;
const QUERY = /[A-Za-z0-9\-._~!$&()*+,;=:@/?%[\]{}|\\^`]/;
const FRAGMENT = /[A-Za-z0-9\-._~!$&'()*+,;=:@/?%[\]{}|\\^#]/;
const USER = /[A-Za-z0-9\-._~!$&'()*+,%]/;

function escape(text, keep) {
  let out = "";
  for (const character of text) {
    if (keep.test(character)) out += character;
    else for (const byte of encodeUtf8(character)) out += "%" + byte.toString(16).toUpperCase().padStart(2, "0");
  }
  return out;
}

function unescapeForm(text) {
  text = text.replace(/\+/g, " ");
  if (!text.includes("%")) return text;
  const bytes = encodeUtf8(text);
  const out = [];
  for (let at = 0; at < bytes.length; at++) {
    const hex = bytes[at] === 37 ? String.fromCharCode(bytes[at + 1], bytes[at + 2]) : "";
    if (/^[0-9A-Fa-f]{2}$/.test(hex)) {
      out.push(parseInt(hex, 16));
      at += 2;
    } else out.push(bytes[at]);
  }
  return decodeUtf8(Uint8Array.from(out), false, false).text;
}

function escapeForm(text) {
  return escape(text, /[A-Za-z0-9*\-._ ]/).replace(/ /g, "+");
}

export class URLSearchParams {
  #pairs = [];
  #changed = () => {};
  constructor(init = "", changed) {
    if (changed) this.#changed = changed;
    if (typeof init === "string") this.#parse(init);
    else if (typeof init[Symbol.iterator] === "function") {
      for (const [name, value] of init) this.#pairs.push([String(name), String(value)]);
    } else for (const name of Object.keys(init)) this.#pairs.push([name, String(init[name])]);
  }
  #parse(text) {
    for (const part of text.replace(/^\?/, "").split("&")) {
      if (part === "") continue;
      const at = part.indexOf("=");
      const [name, value] = at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
      this.#pairs.push([unescapeForm(name), unescapeForm(value)]);
    }
  }
  get size() { return this.#pairs.length; }
  append(name, value) { this.#pairs.push([String(name), String(value)]); this.#changed(); }
  delete(name) { this.#pairs = this.#pairs.filter((pair) => pair[0] !== String(name)); this.#changed(); }
  get(name) { return this.#pairs.find((pair) => pair[0] === String(name))?.[1] ?? null; }
  getAll(name) { return this.#pairs.filter((pair) => pair[0] === String(name)).map((pair) => pair[1]); }
  has(name) { return this.#pairs.some((pair) => pair[0] === String(name)); }
  set(name, value) {
    const first = this.#pairs.find((pair) => pair[0] === String(name));
    if (!first) return this.append(name, value);
    first[1] = String(value);
    this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== first[0]);
    this.#changed();
  }
  sort() { this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)); this.#changed(); }
  forEach(callback, self) { for (const [name, value] of this.#pairs) callback.call(self, value, name, this); }
  *entries() { for (const [name, value] of this.#pairs) yield [name, value]; }
  *keys() { for (const pair of this.#pairs) yield pair[0]; }
  *values() { for (const pair of this.#pairs) yield pair[1]; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#pairs.map(([name, value]) => `${escapeForm(name)}=${escapeForm(value)}`).join("&"); }
}

function invalid(text) {
  const error = new TypeError(`Invalid URL: ${text}`);
  error.code = "ERR_INVALID_URL";
  return error;
}

function hostOf(text, special, whole) {
  if (!special) return escape(text, /[^\u0000-\u001f\u007f-\uffff #/<>?@[\\\]^|]|[[\]:]/);
  if (text.startsWith("[")) {
    if (!/^\[[0-9A-Fa-f:.]+\]$/.test(text)) throw invalid(whole);
    return text.toLowerCase();
  }
  const host = decodeURIComponent(text).toLowerCase();
  if (host === "" || /[\u0000-\u0020"#%/:<>?@[\\\]^`{|}\u007f]/.test(host)) throw invalid(whole);
  const parts = host.split(".");
  if (/^\d+$/.test(parts[parts.length - 1])) {
    if (parts.length !== 4 || parts.some((part) => !/^\d+$/.test(part) || Number(part) > 255)) throw invalid(whole);
    return parts.map(Number).join(".");
  }
  return host;
}

function normalPath(path, special) {
  const parts = (special ? path.replace(/\\/g, "/") : path).split("/").slice(1);
  const out = [];
  parts.forEach((part, index) => {
    const last = index === parts.length - 1;
    const plain = part.replace(/%2e/gi, ".");
    if (plain === "..") { out.pop(); if (last) out.push(""); }
    else if (plain === ".") { if (last) out.push(""); }
    else out.push(escape(part, PATH));
  });
  return "/" + out.join("/");
}

export class URL {
  #scheme; #user = ""; #password = ""; #host = null; #port = ""; #path = ""; #query = ""; #hash = ""; #params;
  constructor(input, base) {
    const text = String(input).trim().replace(/[\t\n\r]/g, "");
    const match = /^([A-Za-z][A-Za-z0-9+\-.]*:)(.*)$/s.exec(text);
    const from = base === undefined ? null : new URL(String(base));
    if (match && !(from && match[1].toLowerCase() === from.protocol && match[1].toLowerCase() in PORTS && !/^[/\\]/.test(match[2]))) {
      this.#absolute(match[1].toLowerCase(), match[2], text);
    } else if (from) this.#relative(match ? match[2] : text, from, text);
    else throw invalid(text);
  }
  static canParse(input, base) {
    try { new URL(input, base); return true; } catch { return false; }
  }
  #tail(rest) {
    const hash = rest.indexOf("#");
    if (hash >= 0) { this.hash = rest.slice(hash); rest = rest.slice(0, hash); }
    const query = rest.indexOf("?");
    if (query >= 0) { this.#query = this.#escapeQuery(rest.slice(query + 1)); rest = rest.slice(0, query); }
    return rest;
  }
  #escapeQuery(text) { return escape(text, QUERY); }
  #absolute(scheme, rest, whole) {
    this.#scheme = scheme;
    const special = scheme in PORTS;
    rest = this.#tail(rest);
    if (special) rest = rest.replace(/\\/g, "/");
    if (special && scheme !== "file:") rest = "//" + rest.replace(/^\/*/, "");
    if (!rest.startsWith("//")) { this.#path = rest.startsWith("/") ? normalPath(rest, special) : escape(rest, /[^\u0000-\u001f\u007f-\uffff]/); return; }
    const slash = rest.indexOf("/", 2);
    this.#authority(slash < 0 ? rest.slice(2) : rest.slice(2, slash), special, whole);
    this.#path = slash < 0 ? (special ? "/" : "") : normalPath(rest.slice(slash), special);
  }
  #authority(text, special, whole) {
    const at = text.lastIndexOf("@");
    if (at >= 0) {
      const [user, ...password] = text.slice(0, at).split(":");
      this.#user = escape(user, USER);
      this.#password = escape(password.join(":"), USER);
    }
    const match = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text.slice(at + 1));
    if (!match) throw invalid(whole);
    this.#host = this.#scheme === "file:" && match[1] === "" ? "" : hostOf(match[1], special, whole);
    this.port = match[2] ?? "";
    if (match[2] && Number(match[2]) > 65535) throw invalid(whole);
  }
  #relative(text, base, whole) {
    const special = base.protocol in PORTS;
    if (special) text = text.replace(/^[^?#]*/, (path) => path.replace(/\\/g, "/"));
    if (text.startsWith("//")) return this.#absolute(base.protocol, text, whole);
    this.#scheme = base.protocol;
    [this.#user, this.#password, this.#port] = [base.username, base.password, base.port];
    this.#host = base.#host;
    if (this.#host === null && !base.pathname.startsWith("/") && !text.startsWith("#")) throw invalid(whole);
    const path = this.#tail(text);
    if (path.startsWith("/")) this.#path = normalPath(path, special);
    else if (path !== "") this.#path = normalPath(base.pathname.replace(/[^/]*$/, "") + path, special);
    else {
      this.#path = base.pathname;
      if (!text.startsWith("?")) this.#query = base.search.slice(1);
    }
  }
  get protocol() { return this.#scheme; }
  set protocol(value) { const scheme = String(value).replace(/:.*$/, "").toLowerCase() + ":"; if ((scheme in PORTS) === (this.#scheme in PORTS)) this.#scheme = scheme; }
  get username() { return this.#user; }
  set username(value) { this.#user = escape(String(value), USER); }
  get password() { return this.#password; }
  set password(value) { this.#password = escape(String(value), USER); }
  get hostname() { return this.#host ?? ""; }
  set hostname(value) { this.#host = hostOf(String(value), this.#scheme in PORTS, value); }
  get port() { return this.#port; }
  set port(value) { const port = String(value); if (port === "") this.#port = ""; else if (/^\d+/.test(port)) { const number = String(parseInt(port, 10)); this.#port = number === PORTS[this.#scheme] ? "" : number; } }
  get host() { return this.hostname + (this.#port ? `:${this.#port}` : ""); }
  set host(value) { this.#authority(String(value), this.#scheme in PORTS, value); }
  get origin() { return this.#scheme in PORTS && this.#scheme !== "file:" ? `${this.#scheme}//${this.host}` : "null"; }
  get pathname() { return this.#path; }
  set pathname(value) { const path = String(value); this.#path = normalPath(path.startsWith("/") ? path : `/${path}`, this.#scheme in PORTS); }
  get search() { return this.#query === "" ? "" : `?${this.#query}`; }
  set search(value) { this.#query = this.#escapeQuery(String(value).replace(/^\?/, "")); this.#params = undefined; }
  get searchParams() {
    this.#params ??= new URLSearchParams(this.#query, () => { this.#query = this.#params.toString(); });
    return this.#params;
  }
  get hash() { return this.#hash === "" ? "" : `#${this.#hash}`; }
  set hash(value) { this.#hash = escape(String(value).replace(/^#/, ""), FRAGMENT); }
  get href() {
    const user = this.#user || this.#password ? `${this.#user}${this.#password ? `:${this.#password}` : ""}@` : "";
    const authority = this.#host === null ? "" : `//${user}${this.host}`;
    return this.#scheme + authority + this.#path + this.search + this.hash;
  }
  set href(value) { const other = new URL(value); this.#scheme = other.#scheme; this.#user = other.#user; this.#password = other.#password; this.#host = other.#host; this.#port = other.#port; this.#path = other.#path; this.#query = other.#query; this.#hash = other.#hash; this.#params = undefined; }
  toString() { return this.href; }
  toJSON() { return this.href; }
}

Object.assign(globalThis, { URL, URLSearchParams });
