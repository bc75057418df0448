// Headers, Request, Response.
import { decodeUtf8, encodeUtf8, toBytes } from "nexus:text";
import { ReadableStream } from "nexus:streams";
import { URL, URLSearchParams } from "nexus:url";

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function checkName(name) {
  const text = String(name).toLowerCase();
  if (!NAME.test(text)) throw new TypeError(`"${name}" is no header name`);
  return text;
}

function checkValue(value) {
  const text = String(value).replace(/^[\t\r\n ]+|[\t\r\n ]+$/g, "");
  if (/[\0\r\n]/.test(text)) throw new TypeError("a header value holds a line end");
  return text;
}

export class Headers {
  #pairs = [];
  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init[Symbol.iterator] === "function") for (const [name, value] of init) this.append(name, value);
    else for (const name of Object.keys(init)) this.append(name, init[name]);
  }
  append(name, value) { this.#pairs.push([checkName(name), checkValue(value)]); }
  delete(name) { const key = checkName(name); this.#pairs = this.#pairs.filter((pair) => pair[0] !== key); }
  get(name) {
    const key = checkName(name);
    const values = this.#pairs.filter((pair) => pair[0] === key).map((pair) => pair[1]);
    return values.length > 0 ? values.join(", ") : null;
  }
  getSetCookie() { return this.#pairs.filter((pair) => pair[0] === "set-cookie").map((pair) => pair[1]); }
  has(name) { const key = checkName(name); return this.#pairs.some((pair) => pair[0] === key); }
  set(name, value) { this.delete(name); this.append(name, value); }
  forEach(callback, self) { for (const [name, value] of this) callback.call(self, value, name, this); }
  *entries() {
    const names = [...new Set(this.#pairs.map((pair) => pair[0]))].sort();
    for (const name of names) {
      if (name === "set-cookie") for (const value of this.getSetCookie()) yield [name, value];
      else yield [name, this.get(name)];
    }
  }
  *keys() { for (const [name] of this) yield name; }
  *values() { for (const [, value] of this) yield value; }
  [Symbol.iterator]() { return this.entries(); }
}

// Gives { body: Uint8Array | ReadableStream | null, type }.
function extractBody(body) {
  if (body === undefined || body === null) return { body: null, type: null };
  if (body instanceof ReadableStream) return { body, type: null };
  if (body instanceof URLSearchParams) {
    return { body: encodeUtf8(body.toString()), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { body: toBytes(body).slice(), type: null };
  if (typeof body === "object" && (body[Symbol.asyncIterator] || (body[Symbol.iterator] && !(body instanceof String)))) {
    return { body: ReadableStream.from(body), type: null };
  }
  return { body: encodeUtf8(String(body)), type: "text/plain;charset=UTF-8" };
}

const rawBody = Symbol("body");

// The body as it is kept: bytes, a stream, or null. Marks it as used.
export function takeBody(message) {
  const body = message[rawBody];
  if (body !== null) message.claim();
  return body;
}

class Body {
  #used = false;
  #stream = null;
  constructor(body) { this[rawBody] = body; }
  claim() {
    if (this.bodyUsed) throw new TypeError("the body was used already");
    this.#used = true;
  }
  get bodyUsed() { return this.#used || (this.#stream?.locked ?? false); }
  get body() {
    const body = this[rawBody];
    if (body === null || body instanceof ReadableStream) return body;
    if (!this.#stream) {
      this.#stream = ReadableStream.from([body]);
      this[rawBody] = this.#stream;
    }
    return this.#stream;
  }
  async bytes() {
    const body = this[rawBody];
    if (body === null) return new Uint8Array(0);
    this.claim();
    if (body instanceof Uint8Array) return body;
    const chunks = [];
    let length = 0;
    for await (const chunk of body) {
      const bytes = typeof chunk === "string" ? encodeUtf8(chunk) : toBytes(chunk);
      chunks.push(bytes);
      length += bytes.length;
    }
    if (chunks.length === 1) return chunks[0];
    const all = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) { all.set(chunk, at); at += chunk.length; }
    return all;
  }
  async arrayBuffer() { return (await this.bytes()).slice().buffer; }
  async text() { return decodeUtf8(await this.bytes(), false, false).text.replace(/^\ufeff/, ""); }
  async json() { return JSON.parse(await this.text()); }
  cloneBody() {
    if (this.bodyUsed) throw new TypeError("the body was used already");
    const body = this[rawBody];
    if (!(body instanceof ReadableStream)) return body;
    const [mine, other] = body.tee();
    this[rawBody] = mine;
    return other;
  }
}

export class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : null;
    const given = "body" in init ? extractBody(init.body) : { body: from ? takeBody(from) : null, type: null };
    super(given.body);
    this.url = from ? from.url : new URL(String(input)).href;
    this.method = String(init.method ?? from?.method ?? "GET");
    if (/^(delete|get|head|options|post|put)$/i.test(this.method)) this.method = this.method.toUpperCase();
    if (given.body !== null && (this.method === "GET" || this.method === "HEAD")) {
      throw new TypeError(`a ${this.method} request has no body`);
    }
    this.headers = new Headers(init.headers ?? from?.headers);
    if (given.type && !this.headers.has("content-type")) this.headers.set("content-type", given.type);
    this.signal = init.signal ?? from?.signal ?? null;
    this.redirect = init.redirect ?? from?.redirect ?? "follow";
  }
  clone() {
    const copy = new Request(this.url, { method: this.method, headers: this.headers, signal: this.signal, redirect: this.redirect });
    copy[rawBody] = this.cloneBody();
    return copy;
  }
}

export class Response extends Body {
  constructor(body, init = {}) {
    const given = extractBody(body);
    super(given.body);
    this.status = init.status === undefined ? 200 : Number(init.status);
    if (!(this.status >= 200 && this.status <= 599)) throw new RangeError(`${init.status} is no status of a response`);
    if (given.body !== null && [204, 205, 304].includes(this.status)) throw new TypeError(`a response with status ${this.status} has no body`);
    this.statusText = init.statusText ?? "";
    this.headers = new Headers(init.headers);
    if (given.type && !this.headers.has("content-type")) this.headers.set("content-type", given.type);
    this.url = "";
    this.redirected = false;
    this.type = "default";
  }
  get ok() { return this.status >= 200 && this.status <= 299; }
  static json(value, init = {}) {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }
  static redirect(url, status = 302) {
    return new Response(null, { status, headers: { location: String(url) } });
  }
  static error() { const response = new Response(null, { status: 500 }); response.type = "error"; return response; }
  clone() {
    const copy = new Response(null, { status: this.status, statusText: this.statusText, headers: this.headers });
    copy[rawBody] = this.cloneBody();
    copy.url = this.url;
    copy.redirected = this.redirected;
    return copy;
  }
}

Object.assign(globalThis, { Headers, Request, Response });
