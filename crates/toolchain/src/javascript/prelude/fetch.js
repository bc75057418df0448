// fetch over wasi:http, and the conversions between its types and those of the Fetch standard.
import { dispose, http, needLive, outgoing } from "nexus:host";
import { forget, ready } from "nexus:loop";
import { decodeUtf8, encodeUtf8 } from "nexus:text";
import { WriteError, fromInput, sendBody } from "nexus:streams";
import { Headers, Request, Response, takeBody } from "nexus:fetch-types";
import { URL } from "nexus:url";

const REDIRECTS_MAX = 20;
const METHODS = ["get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"];
// Set by the connection, not by the program.
const CONNECTION = ["connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];

export function methodText(method) {
  return method.tag === "other" ? method.val : method.tag.toUpperCase();
}

function methodTag(text) {
  const tag = text.toLowerCase();
  return METHODS.includes(tag) ? { tag } : { tag: "other", val: text };
}

export function toHeaders(fields) {
  const headers = new Headers();
  for (const [name, value] of fields.entries()) headers.append(name, decodeUtf8(Uint8Array.from(value), false, false).text);
  dispose(fields);
  return headers;
}

export function toFields(headers) {
  const pairs = [];
  for (const [name, value] of headers) if (!CONNECTION.includes(name)) pairs.push([name, encodeUtf8(value)]);
  return http.Fields.fromList(pairs);
}

// A stream over an incoming body; drops what belongs to it when it ends.
export function incomingBody(message, done, signal) {
  const body = message.consume();
  const end = () => {
    dispose(body);
    done?.();
  };
  return fromInput(body.stream(), end, signal);
}

function errorText(code) {
  const detail = code?.val === undefined || code?.val === null ? "" : `: ${typeof code.val === "string" ? code.val : JSON.stringify(code.val)}`;
  return `${code?.tag ?? code}${detail}`;
}

function failed(url, code) {
  const error = new TypeError(`fetch of ${url} failed: ${errorText(code)}`);
  error.code = code?.tag;
  return error;
}

function start(request, url, body) {
  const headers = new Headers(request.headers);
  if (body instanceof Uint8Array) headers.set("content-length", String(body.length));
  const out = new http.OutgoingRequest(toFields(headers));
  out.setMethod(methodTag(request.method));
  const scheme = url.protocol.slice(0, -1);
  out.setScheme(scheme === "http" || scheme === "https" ? { tag: scheme.toUpperCase() } : { tag: "other", val: scheme });
  out.setAuthority(url.host);
  out.setPathWithQuery(url.pathname + url.search);
  const outBody = out.body();
  try {
    return { future: outgoing.handle(out, null), outBody };
  } catch (error) {
    throw failed(url.href, error.payload ?? error);
  }
}

async function exchange(request, url, body) {
  request.signal?.throwIfAborted();
  const { future, outBody } = start(request, url, body);
  const arrival = future.subscribe();
  const firsts = [ready(arrival)];
  firsts.push(new Promise((_, reject) => {
    sendBody(outBody, http.OutgoingBody, body).catch((error) => {
      // Where the other side takes no more, its answer tells why, or the absence of one.
      if (error instanceof WriteError) return;
      dispose(outBody);
      reject(error);
    });
  }));
  if (request.signal) {
    firsts.push(new Promise((_, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason));
    }));
  }
  try {
    await Promise.race(firsts);
  } catch (error) {
    // Nobody waits for the answer: the request is given up.
    forget(arrival);
    dispose(future);
    throw error;
  }
  const result = future.get();
  dispose(future);
  const answer = result?.val ?? result;
  if (answer?.tag !== "ok") throw failed(url.href, answer?.val);
  return toResponse(answer.val, url, request);
}

function toResponse(message, url, { method, signal }) {
  const status = message.status();
  const headers = toHeaders(message.headers());
  const empty = method === "HEAD" || [204, 205, 304].includes(status);
  let body = null;
  if (empty) dispose(message);
  else body = incomingBody(message, () => dispose(message), signal);
  const response = new Response(body, { status: status < 200 ? 200 : status, headers });
  response.url = url.href;
  return response;
}

globalThis.fetch = async function fetch(input, init) {
  needLive("fetch");
  let request = new Request(input, init);
  let url = new URL(request.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`fetch knows http and https, not ${url.protocol}`);
  let body = takeBody(request);
  for (let hops = 0; ; hops++) {
    const response = await exchange(request, url, body);
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || !location || request.redirect === "manual") {
      response.redirected = hops > 0;
      return response;
    }
    if (request.redirect === "error") throw new TypeError(`fetch of ${url.href} was redirected`);
    if (hops >= REDIRECTS_MAX) throw new TypeError(`fetch of ${request.url} was redirected more than ${REDIRECTS_MAX} times`);
    await response.body?.cancel();
    const next = new URL(location, url);
    const headers = new Headers(request.headers);
    if (next.origin !== url.origin) headers.delete("authorization");
    let method = request.method;
    if (response.status === 303 && method !== "HEAD" || [301, 302].includes(response.status) && method === "POST") {
      method = "GET";
      body = null;
      headers.delete("content-type");
      headers.delete("content-length");
    } else if (body !== null && !(body instanceof Uint8Array)) {
      throw new TypeError("a streamed body cannot be sent again after a redirect");
    }
    request = new Request(next.href, { method, headers, signal: request.signal, redirect: request.redirect });
    url = next;
  }
};
