// The event loop: promise jobs first, then the earliest thing that is ready outside.
import { dispose, isLive, jobs, monotonic, needLive, onStart, pollApi } from "nexus:host";

// QuickJS runs promise jobs when the function behind this name returns; see the builder's `link`.
for (const exported of Object.values(__cqjs.asyncExports)) {
  for (const name of Object.keys(exported)) exported[name] = () => {};
}

const waiting = []; // { pollable, wake }
const timers = []; // { id, due, wake, every }, by due time, then by number
let timerNumber = 0;
let origin = 0;
onStart(() => { origin = monotonic.now(); });

// Milliseconds since the first call of this instance began.
export function elapsed() {
  return isLive() ? (monotonic.now() - origin) / 1e6 : 0;
}

// Resolves when the pollable is ready, and drops it.
export function ready(pollable) {
  if (pollable.ready()) {
    dispose(pollable);
    return Promise.resolve();
  }
  return new Promise((wake) => waiting.push({ pollable, wake }));
}

// Waits no longer for a pollable, and drops it if it was not ready yet.
export function forget(pollable) {
  const at = waiting.findIndex((it) => it.pollable === pollable);
  if (at < 0) return;
  waiting.splice(at, 1);
  dispose(pollable);
}

function insertTimer(timer) {
  let at = timers.length;
  while (at > 0 && timers[at - 1].due > timer.due) at--;
  timers.splice(at, 0, timer);
}

function addTimer(callback, delay, args, repeat) {
  needLive(repeat ? "setInterval" : "setTimeout");
  if (typeof callback !== "function") throw new TypeError("the first argument must be a function");
  const wait = Math.max(0, Number(delay) || 0);
  const id = ++timerNumber;
  insertTimer({ id, due: elapsed() + wait, wake: () => callback(...args), every: repeat ? Math.max(1, wait) : 0 });
  return id;
}

function clearTimer(id) {
  const at = timers.findIndex((timer) => timer.id === id);
  if (at >= 0) timers.splice(at, 1);
}

globalThis.setTimeout = (callback, delay, ...args) => addTimer(callback, delay, args, false);
globalThis.setInterval = (callback, delay, ...args) => addTimer(callback, delay, args, true);
globalThis.clearTimeout = clearTimer;
globalThis.clearInterval = clearTimer;
globalThis.setImmediate = (callback, ...args) => addTimer(callback, 0, args, false);
globalThis.clearImmediate = clearTimer;
globalThis.queueMicrotask = (callback) => { Promise.resolve().then(callback); };

// Waits for the first pollable or timer, and wakes what is ready in the order of registration.
function block() {
  const pollables = waiting.map((it) => it.pollable);
  let alarm;
  if (timers.length > 0) {
    const left = Math.max(0, timers[0].due - elapsed());
    alarm = monotonic.subscribeDuration(Math.ceil(left * 1e6));
    pollables.push(alarm);
  }
  const indexes = Array.from(pollApi.poll(pollables)).sort((a, b) => a - b);
  const woken = indexes.filter((index) => index < waiting.length).map((index) => waiting[index]);
  dispose(alarm);
  for (const entry of woken) {
    waiting.splice(waiting.indexOf(entry), 1);
    dispose(entry.pollable);
    entry.wake();
  }
  const now = timers.length > 0 ? elapsed() : 0;
  while (timers.length > 0 && timers[0].due <= now) {
    const timer = timers.shift();
    if (timer.every > 0) insertTimer({ ...timer, due: now + timer.every });
    timer.wake();
    jobs.drain();
  }
}

let idlers = [];

// Resolves when nothing is left to do but to wait for the outside.
export function idle() {
  return new Promise((wake) => idlers.push(wake));
}

// Runs an asynchronous function to its end, and gives its value or throws what it threw.
export function run(body) {
  let settled;
  Promise.resolve().then(body).then(
    (value) => { settled = { value }; },
    (error) => { settled = { error, failed: true }; },
  );
  for (;;) {
    jobs.drain();
    if (settled !== undefined) break;
    if (idlers.length > 0) {
      const woken = idlers;
      idlers = [];
      for (const wake of woken) wake();
      continue;
    }
    if (waiting.length === 0 && timers.length === 0) {
      throw new Error("the handler waits for a promise that nothing can settle any more");
    }
    block();
  }
  if (settled.failed) throw settled.error;
  return settled.value;
}
