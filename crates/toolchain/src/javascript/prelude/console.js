// console: each call is one structured log line.
import { isLive, log } from "nexus:host";

const DEPTH_MAX = 4;
const ITEMS_MAX = 100;

function quote(value) {
  return typeof value === "string" ? JSON.stringify(value) : inspect(value, 1, new Set());
}

// A text for people, in the manner of browsers' consoles.
export function inspect(value, depth = 0, seen = new Set()) {
  switch (typeof value) {
    case "string": return depth === 0 ? value : JSON.stringify(value);
    case "bigint": return `${value}n`;
    case "function": return value.name ? `[Function: ${value.name}]` : "[Function]";
    case "symbol": return value.toString();
    case "object": break;
    default: return String(value);
  }
  if (value === null) return "null";
  if (value instanceof Error) return errorText(value);
  if (seen.has(value)) return "[Circular]";
  if (depth > DEPTH_MAX) return Array.isArray(value) ? "[Array]" : "[Object]";
  seen.add(value);
  const text = inspectObject(value, depth + 1, seen);
  seen.delete(value);
  return text;
}

function cut(parts, total) {
  if (total > parts.length) parts.push(`… ${total - parts.length} more`);
  return parts.join(", ");
}

function inspectObject(value, depth, seen) {
  const show = (item) => inspect(item, depth, seen);
  if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Promise) return "Promise {}";
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
    const items = Array.from(value.slice(0, ITEMS_MAX), show);
    const name = Array.isArray(value) ? "" : `${value.constructor.name}(${value.length}) `;
    return items.length === 0 ? `${name}[]` : `${name}[ ${cut(items, value.length)} ]`;
  }
  if (value instanceof Map) {
    const items = Array.from(value).slice(0, ITEMS_MAX).map(([key, item]) => `${show(key)} => ${show(item)}`);
    return `Map(${value.size}) { ${cut(items, value.size)} }`;
  }
  if (value instanceof Set) {
    const items = Array.from(value).slice(0, ITEMS_MAX).map(show);
    return `Set(${value.size}) { ${cut(items, value.size)} }`;
  }
  const keys = Object.keys(value);
  const items = keys.slice(0, ITEMS_MAX).map((key) => {
    const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
    return `${name}: ${show(value[key])}`;
  });
  const type = value.constructor?.name;
  const name = type && type !== "Object" ? `${type} ` : "";
  return items.length === 0 ? `${name}{}` : `${name}{ ${cut(items, keys.length)} }`;
}

// "Name: message", the stack, and what caused it.
export function errorText(error) {
  if (!(error instanceof Error)) return `Uncaught ${quote(error)}`;
  let text = `${error.name}: ${error.message}`;
  const stack = String(error.stack ?? "").trimEnd();
  if (stack) text += `\n${stack}`;
  if (error.cause !== undefined) text += `\ncaused by ${inspect(error.cause, 1)}`;
  return text;
}

function format(args) {
  if (typeof args[0] !== "string" || !args[0].includes("%")) return args.map((it) => inspect(it)).join(" ");
  let next = 1;
  const text = args[0].replace(/%([sdifoOjc%])/g, (whole, kind) => {
    if (kind === "%") return "%";
    if (next >= args.length) return whole;
    const value = args[next++];
    switch (kind) {
      case "s": return typeof value === "string" ? value : inspect(value, 1);
      case "d": case "f": return String(Number(value));
      case "i": return String(Math.trunc(Number(value)));
      case "j": return JSON.stringify(value);
      case "c": return "";
      default: return inspect(value, 1);
    }
  });
  return [text, ...args.slice(next).map((it) => inspect(it))].join(" ");
}

// `fields` is a plain object; its values are kept as JSON.
export function write(level, message, fields = {}) {
  if (!isLive()) return;
  const pairs = Object.entries(fields).map(([name, value]) => {
    const json = value instanceof Error ? JSON.stringify(errorText(value)) : JSON.stringify(value);
    return [name, json ?? "null"];
  });
  log.write(level, String(message), pairs);
}

// The words and numbers of loggers, as the host knows them in lines of standard output.
const LEVELS = {
  trace: "trace", debug: "debug", info: "info", information: "info", warn: "warn", warning: "warn", error: "error", err: "error",
  10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error",
};

// A line that a logger made: a JSON object with a level and a message.
function structured(text) {
  if (!text.startsWith("{")) return undefined;
  let found;
  try { found = JSON.parse(text); } catch { return undefined; }
  const levelName = found.level === undefined ? "severity" : "level";
  const messageName = found.message === undefined ? "msg" : "message";
  const level = LEVELS[String(found[levelName]).toLowerCase()];
  const { [levelName]: _, [messageName]: message, ...fields } = found;
  return level && typeof message === "string" ? { level, message, fields } : undefined;
}

let indent = "";
const counts = new Map();
const line = (level) => (...args) => {
  const text = indent + format(args);
  const found = args.length === 1 && typeof args[0] === "string" ? structured(text) : undefined;
  if (found) write(found.level, found.message, found.fields);
  else write(level, text);
};

globalThis.console = {
  log: line("info"), info: line("info"), debug: line("debug"), warn: line("warn"), error: line("error"),
  trace: (...args) => write("debug", `${indent}${format(args)}\n${new Error().stack ?? ""}`),
  dir: (value) => write("info", indent + inspect(value, 1)),
  table: (value) => write("info", indent + inspect(value, 1)),
  assert: (condition, ...args) => { if (!condition) write("error", `Assertion failed: ${format(args)}`); },
  count: (label = "default") => {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write("info", `${indent}${label}: ${counts.get(label)}`);
  },
  countReset: (label = "default") => { counts.delete(label); },
  group: (...args) => { if (args.length > 0) write("info", indent + format(args)); indent += "  "; },
  groupEnd: () => { indent = indent.slice(2); },
};
globalThis.console.groupCollapsed = globalThis.console.group;
