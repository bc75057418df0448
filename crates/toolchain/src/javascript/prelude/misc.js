// Random numbers, time, copies of values.
import { isLive, onStart, random } from "nexus:host";
import { elapsed } from "nexus:loop";
import { toBytes } from "nexus:text";

// Math.random: xoshiro128**, seeded anew in every instance. QuickJS' own generator is seeded once,
// when the context is made, so all instances of a snapshot would give the same numbers.
const state = new Uint32Array([0x9e3779b9, 0x243f6a88, 0xb7e15162, 0xdeadbeef]);

onStart(() => {
  let seeded = false;
  const next = nextRandom;
  nextRandom = () => {
    if (!seeded) {
      seeded = true;
      state.set(new Uint32Array(random.getRandomBytes(16).slice().buffer));
      if (!state.some((word) => word !== 0)) state[0] = 1;
    }
    return (nextRandom = next)();
  };
});

const rotate = (value, by) => (value << by) | (value >>> (32 - by));

function step() {
  const result = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 11);
  return result;
}

let nextRandom = () => (step() * 0x200000 + (step() >>> 11)) / 0x20000000000000;
Math.random = function random() { return nextRandom(); };

const BYTES_MAX = 65536;

globalThis.crypto = {
  getRandomValues(array) {
    if (!isLive()) throw new Error("crypto is not available while the module loads; use it inside the handler");
    const bytes = toBytes(array);
    if (bytes.length > BYTES_MAX) {
      const error = new Error(`${bytes.length} bytes exceed the limit of ${BYTES_MAX}`);
      error.name = "QuotaExceededError";
      throw error;
    }
    if (bytes.length > 0) bytes.set(random.getRandomBytes(bytes.length));
    return array;
  },
  randomUUID() {
    const bytes = this.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  },
};

// Counts from the beginning of the instance's first call: QuickJS' own would count from the build.
let timeOrigin = 0;
onStart(() => { timeOrigin = Date.now(); });
globalThis.performance = { now: elapsed, get timeOrigin() { return timeOrigin; } };

function copyError(what) {
  const error = new Error(`${what} cannot be cloned`);
  error.name = "DataCloneError";
  return error;
}

function clone(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") throw copyError(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (copy) => { seen.set(value, copy); return copy; };
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) {
    const buffer = clone(value.buffer, seen);
    return keep(new value.constructor(buffer, value.byteOffset, value.length ?? value.byteLength));
  }
  if (value instanceof Map) {
    const copy = keep(new Map());
    for (const [key, item] of value) copy.set(clone(key, seen), clone(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = keep(new Set());
    for (const item of value) copy.add(clone(item, seen));
    return copy;
  }
  if (value instanceof Error) {
    const copy = keep(Object.create(Object.getPrototypeOf(value)));
    for (const name of ["name", "message", "stack", "cause"]) {
      if (name in value) Object.defineProperty(copy, name, { value: clone(value[name], seen), writable: true, configurable: true });
    }
    return copy;
  }
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) throw copyError("the object");
  const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
  for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
  return copy;
}

globalThis.structuredClone = (value) => clone(value, new Map());

Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Nexus" }, configurable: true });
globalThis.self = globalThis;
