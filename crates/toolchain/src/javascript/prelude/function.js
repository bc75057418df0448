// What a function can ask of Nexus: `import { emit, log, context } from "nexus:function"`.
import { context as host, environment, events, needLive } from "nexus:host";
import { write } from "nexus:console";
import { decodeUtf8, encodeUtf8, toBytes } from "nexus:text";
import {
  CallError, ConflictError, PermanentError, TransientError, call, callAll, outcome, signal, sleep, start, state,
} from "nexus:platform";

export * from "nexus:platform";

const KNOWN = ["id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema", "data"];

function dataBytes(data, type) {
  if (data === undefined || data === null) return [null, type ?? null];
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return [toBytes(data), type ?? "application/octet-stream"];
  if (typeof data === "string" && type !== undefined && !/[/+]json\b/.test(type)) return [encodeUtf8(data), type];
  return [encodeUtf8(JSON.stringify(data)), type ?? "application/json"];
}

// From a CloudEvent as JavaScript writes it to the record of the WIT world.
export function toRecord(event) {
  if (typeof event?.type !== "string" || event.type === "") throw new TypeError("an event needs a `type`");
  const [data, datacontenttype] = dataBytes(event.data, event.datacontenttype);
  const time = event.time instanceof Date ? event.time.toISOString() : event.time;
  return {
    id: event.id ?? "",
    source: event.source ?? "",
    ty: event.type,
    subject: event.subject ?? null,
    time: time ?? null,
    datacontenttype,
    dataschema: event.dataschema ?? null,
    extensions: Object.keys(event).filter((name) => !KNOWN.includes(name)).map((name) => [name, String(event[name])]),
    data,
  };
}

// The other way. JSON data is parsed, text is text, anything else bytes.
export function fromRecord(record) {
  const event = { specversion: "1.0", id: record.id, source: record.source, type: record.ty };
  for (const name of ["subject", "time", "datacontenttype", "dataschema"]) if (record[name] !== null) event[name] = record[name];
  for (const [name, value] of record.extensions) event[name] = value;
  if (record.data !== null) {
    const bytes = Uint8Array.from(record.data);
    const type = record.datacontenttype ?? "application/json";
    if (/^[^;]*[/+]json\b/.test(type)) event.data = parse(bytes);
    else event.data = type.startsWith("text/") ? decodeUtf8(bytes, false, false).text : bytes;
  }
  return event;
}

function parse(bytes) {
  try {
    return JSON.parse(decodeUtf8(bytes, true, false).text);
  } catch (error) {
    throw new PermanentError(`the event's data is not JSON: ${error.message}`);
  }
}

// Appends events to the log; they are durable when this returns. Gives their ids in the log.
export function emit(...given) {
  needLive("emit");
  try {
    return events.emit(given.flat().map(toRecord));
  } catch (error) {
    if (error.payload === undefined) throw error;
    const { tag, val } = error.payload;
    throw tag === "invalid" ? new PermanentError(`emit refused: ${val}`) : new TransientError(`emit failed: ${val}`);
  }
}

const at = (level) => (message, fields) => write(level, message, fields);

export const log = { trace: at("trace"), debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };

export const context = {
  get invocationId() { return host.invocationId(); },
  get attempt() { return host.attempt(); },
  get function() { return host.function(); },
  get project() { return host.project(); },
  get traceparent() { return host.traceparent(); },
  get idempotencyKey() { return host.idempotencyKey(); },
  get deadline() { return new Date(Number(host.deadlineMs())); },
  env: new Proxy({}, {
    get: (_, name) => environment.getEnvironment().find((pair) => pair[0] === name)?.[1],
    has: (_, name) => environment.getEnvironment().some((pair) => pair[0] === name),
    ownKeys: () => environment.getEnvironment().map((pair) => pair[0]),
    getOwnPropertyDescriptor: (_, name) => {
      const value = environment.getEnvironment().find((pair) => pair[0] === name)?.[1];
      return value === undefined ? undefined : { value, enumerable: true, configurable: true };
    },
  }),
  // Tells those who watch how far the function is: a percentage, if it can be said, and a text.
  progress(percent, message = "") {
    host.progress(typeof percent === "number" ? Math.round(Math.min(100, Math.max(0, percent))) : null, String(message));
  },
  emit,
  log,
  sleep,
  signal,
  call,
  callAll,
  start,
  outcome,
  state,
};

export default context;

Object.assign(globalThis, { CallError, ConflictError, PermanentError, TransientError });
