// Waiting, calling other functions, and state: `import nexus from "nexus:function"`.
import { calls, durable, needLive, state as host } from "nexus:host";
import { decodeUtf8, encodeUtf8, toBytes } from "nexus:text";

// A retry does not help.
export class PermanentError extends Error {
  name = "PermanentError";
  permanent = true;
}

// A retry may help. Any other error counts as this one too.
export class TransientError extends Error {
  name = "TransientError";
}

// Somebody else changed the state: `version` is what it has now. A retry reads again.
export class ConflictError extends TransientError {
  name = "ConflictError";
  constructor(version) {
    super(`the state has changed meanwhile: its version is ${version}`);
    this.version = version;
  }
}

// A called function gave no result. `code` says why, `permanent` whether a retry is useless.
export class CallError extends Error {
  name = "CallError";
  constructor(code, message, permanent) {
    super(message);
    this.code = code;
    this.permanent = permanent;
  }
}

function isBytes(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function encode(value) {
  if (isBytes(value)) return toBytes(value);
  return encodeUtf8(JSON.stringify(value === undefined ? null : value));
}

function toPayload(value) {
  return { contentType: isBytes(value) ? "application/octet-stream" : "application/json", data: encode(value) };
}

function decode(bytes) {
  bytes = Uint8Array.from(bytes);
  return bytes.length === 0 ? undefined : JSON.parse(decodeUtf8(bytes, true, false).text);
}

function fromPayload(payload) {
  const type = payload.contentType;
  if (type === "" || /^[^;]*[/+]json\b/.test(type)) return decode(payload.data);
  const bytes = Uint8Array.from(payload.data);
  return type.startsWith("text/") ? decodeUtf8(bytes, false, false).text : bytes;
}

// Runs a host call; what it throws is turned into errors of this module.
function ask(what, body, failed) {
  needLive(what);
  try {
    return body();
  } catch (error) {
    if (error.payload === undefined) throw error;
    throw failed(error.payload);
  }
}

function durableError({ tag, val }) {
  if (tag === "not-durable") return new PermanentError("the function is not durable: set durable = true");
  return tag === "invalid" ? new PermanentError(val) : new TransientError(val);
}

function callError({ tag, val }) {
  if (tag === "failed") return new CallError(val.code, `${val.code} ${val.message}`, !val.retryable);
  return new CallError(tag, val, tag !== "unavailable");
}

function stateError({ tag, val }) {
  if (tag === "conflict") return new ConflictError(Number(val));
  return tag === "invalid" ? new PermanentError(val) : new TransientError(val);
}

// Sleeps for milliseconds, in a durable function: it costs nothing meanwhile.
export function sleep(ms) {
  ask("sleep", () => durable.sleep(Math.max(0, Math.ceil(ms))), durableError);
}

// Waits for a signal in a durable function; `undefined` when `timeout` (milliseconds) has passed.
export function signal(name, { timeout } = {}) {
  const limit = timeout === undefined ? null : Math.max(0, Math.ceil(timeout));
  const payload = ask("signal", () => durable.waitSignal(name, limit), durableError);
  return payload === null || payload === undefined ? undefined : fromPayload(payload);
}

// Calls another function of the project and waits for its result.
export function call(name, input) {
  return fromPayload(ask("call", () => calls.invoke(name, toPayload(input)), callError));
}

// Calls several, given as [name, input]. Gives { value } or { error } for each.
export function callAll(list) {
  const made = Array.from(list, ([name, input]) => ({ function: name, payload: toPayload(input) }));
  return ask("callAll", () => calls.invokeAll(made), callError).map((result) =>
    result.tag === "ok" ? { value: fromPayload(result.val) } : { error: callError(result.val) });
}

// Starts an invocation that nobody waits for; it is durable when this returns. Gives its id.
export function start(name, input, { delay = 0, orderingKey = null } = {}) {
  const options = { delayMs: Math.max(0, Math.ceil(delay)), orderingKey };
  return ask("start", () => calls.start(name, toPayload(input), options), callError);
}

// What became of an invocation: { state: "running" | "succeeded" | "failed", value?, error? }.
export function outcome(invocation) {
  const { tag, val } = ask("outcome", () => calls.outcome(invocation), callError);
  if (tag === "succeeded") return { state: tag, value: fromPayload(val) };
  return tag === "failed" ? { state: tag, error: callError({ tag, val }) } : { state: tag };
}

function makeState(namespace) {
  const read = (what, body) => ask(`state.${what}`, body, stateError);
  const entry = (key) => {
    const found = read("get", () => host.get(namespace, key));
    return found === null || found === undefined ? undefined : found;
  };
  return {
    get(key) {
      const found = entry(key);
      return found === undefined ? undefined : decode(found.value);
    },
    getBytes(key) {
      const found = entry(key);
      return found === undefined ? undefined : Uint8Array.from(found.value);
    },
    entry(key) {
      const found = entry(key);
      return found === undefined ? undefined : { value: decode(found.value), version: Number(found.version) };
    },
    put(key, value, { version = null } = {}) {
      return Number(read("put", () => host.put(namespace, key, encode(value), version)));
    },
    delete(key, { version = null } = {}) {
      read("delete", () => host.delete(namespace, key, version));
    },
    list(prefix = "", { after = null, max = 100 } = {}) {
      return read("list", () => host.scan(namespace, prefix, after, max))
        .map((found) => ({ key: found.key, value: decode(found.value), version: Number(found.version) }));
    },
    append(name, events, { version = null } = {}) {
      return Number(read("append", () => host.append(namespace, name, events.map(encode), version)));
    },
    read(name, { after = 0, max = 100 } = {}) {
      return read("read", () => host.read(namespace, name, after, max))
        .map((event) => ({ version: Number(event.version), data: decode(event.data) }));
    },
    shared: (name) => makeState(name),
  };
}

// The function's own state; `state.shared(name)` is one that the functions of the project share.
export const state = makeState(null);
