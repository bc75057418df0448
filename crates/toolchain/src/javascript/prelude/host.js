// What the host offers, in one place. Every other module of the prelude imports from here.
import * as pollApi from "wasi:io/poll@0.2.12";
import * as streams from "wasi:io/streams@0.2.12";
import * as monotonic from "wasi:clocks/monotonic-clock@0.2.12";
import * as random from "wasi:random/random@0.2.12";
import * as environment from "wasi:cli/environment@0.2.12";
import * as http from "wasi:http/types@0.2.12";
import * as outgoing from "wasi:http/outgoing-handler@0.2.12";
import * as context from "nexus:function/context@0.1.0";
import * as events from "nexus:function/events@0.1.0";
import * as log from "nexus:function/log@0.1.0";
import * as durable from "nexus:function/durable@0.1.0";
import * as calls from "nexus:function/calls@0.1.0";
import * as state from "nexus:function/state@0.1.0";
import * as jobs from "nexus:guest/jobs@0.1.0";

export { pollApi, streams, monotonic, random, environment, http, outgoing, context, events, log, durable, calls, state, jobs };

// False while modules load for the snapshot: nothing from outside may get into it.
let live = false;
const starters = [];

export function isLive() {
  return live;
}

// Runs `start` when the first call of an instance begins.
export function onStart(start) {
  starters.push(start);
}

export function goLive() {
  if (live) return;
  live = true;
  for (const start of starters) start();
}

export function needLive(what) {
  if (!live) throw new Error(`${what} is not available while the module loads; use it inside the handler`);
}

// Resources must be dropped before those that they came from.
export function dispose(resource) {
  resource?.[Symbol.dispose]?.();
}
