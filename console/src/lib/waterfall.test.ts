import assert from "node:assert/strict";
import test from "node:test";

import type { Invocation } from "~/api/types";
import { axisOf, kindOf, pan, placeOf, ticks, timeAt, waterfallOf, WHOLE, zoom } from "./waterfall";

const MS = 1e6;

function invocation(change: Partial<Invocation>): Invocation {
  return {
    id: "inv_1",
    project: "shop",
    function: "orders",
    trigger: "event",
    status: "succeeded",
    attempt: 1,
    accepted: "2026-11-26T12:00:00.000000000Z",
    duration_ns: 20 * MS,
    cold: false,
    level: "exact",
    trace_id: "",
    principal: "system",
    traceparent: "",
    timings: { queue_ns: MS, fetch_ns: 0, load_ns: 2 * MS, instantiate_ns: MS, first_answer_ns: 0, guest_ns: 10 * MS, total_ns: 20 * MS },
    meter: { cpu_ns: 0, memory_peak_bytes: 0, memory_grown_pages: 0, bytes_in: 0, bytes_out: 0, host_calls: 0, fuel: 0 },
    input: null,
    output: null,
    journal: [],
    logs: [],
    logs_dropped: 0,
    ...change,
  };
}

const call = (operation: number, name: string, summary: string, at: number, took = 0) => ({
  operation,
  function: name,
  summary,
  at_ns: at * MS,
  duration_ns: took * MS,
});

const spans = (view: Invocation, instant = false) =>
  waterfallOf(view, { instant, logs: true }).rows.map((row) =>
    row.type === "log"
      ? `log ${row.mark.line.text} ${row.mark.at / MS}`
      : `${row.span.kind} ${row.span.label} ${row.span.start / MS}-${row.span.end / MS}`,
  );

test("phases follow one another, and what is not accounted for lies before the code", () => {
  assert.deepEqual(spans(invocation({})), ["queue Queue 0-1", "queue Set up 1-7", "load Load code 7-9", "load Make instance 9-10", "guest Run 10-20"]);
});

test("calls and logs stand in the order in which they came", () => {
  const line = (at: string, text: string) => ({ at: `2026-11-26T12:00:00.${at}Z`, stream: "log" as const, text });
  const view = invocation({
    journal: [
      call(0, "wasi:clocks/wall-clock.now", "1", 1),
      call(1, "nexus:function/state.get", "stock → 3", 4, 2),
      call(2, "nexus:function/events.emit", "evt_1", 5),
    ],
    logs: [line("011500000", "first"), line("019000000", "last"), line("999000000", "late")],
  });
  assert.deepEqual(spans(view).slice(5), [
    "log first 11.5",
    "state state.get 12-14",
    "event events.emit 15-15",
    "log last 19",
    "log late 20",
  ]);
  assert.equal(waterfallOf(view, { instant: false, logs: false }).instant, 1);
  assert.equal(spans(view, true)[5], "read wall-clock.now 11-11");
});

test("a request and its answer are one span while no other request is under way", () => {
  const handle = "wasi:http/outgoing-handler.handle";
  const poll = "wasi:io/poll.poll";
  const get = "wasi:http/types.future-incoming-response.get";
  const one = invocation({
    journal: [call(0, handle, "GET http://a/", 1), call(1, poll, "1 asked for", 6, 5), call(2, get, "200, 2 headers", 6)],
  });
  assert.deepEqual(spans(one).slice(5), ["http outgoing-handler.handle 11-16"]);
  const two = invocation({
    journal: [
      call(0, handle, "GET http://a/", 1),
      call(1, handle, "GET http://b/", 1),
      call(2, poll, "2 asked for", 4, 3),
      call(3, get, "200, 2 headers", 4),
      call(4, poll, "1 asked for", 6, 2),
      call(5, get, "200, 2 headers", 6),
    ],
  });
  assert.deepEqual(spans(two).slice(5), [
    "http outgoing-handler.handle 11-11",
    "http outgoing-handler.handle 11-11",
    "wait poll.poll 11-14",
    "wait poll.poll 14-16",
  ]);
});

test("what a call is follows from its interface", () => {
  const cases: [string, string][] = [
    ["wasi:http/outgoing-handler.handle", "http"],
    ["nexus:function/calls.invoke", "call"],
    ["nexus:function/state.put", "state"],
    ["nexus:function/events.emit", "event"],
    ["nexus:function/durable.sleep (end)", "wait"],
    ["wasi:clocks/monotonic-clock.subscribe-duration", "wait"],
    ["wasi:io/streams.input-stream.read", "io"],
    ["memory.grow", "read"],
  ];
  for (const [name, kind] of cases) assert.equal(kindOf(name), kind, name);
});

test("a durable function that slept says so, and its sleep is folded", () => {
  const timings = { queue_ns: 0, fetch_ns: 0, load_ns: 0, instantiate_ns: MS, first_answer_ns: 0, guest_ns: 5 * MS, total_ns: 60_000 * MS };
  const view = invocation({ timings, duration_ns: timings.total_ns, resumes: 1, journal: [call(0, "nexus:function/durable.sleep", "60 s", 1)] });
  assert.deepEqual(spans(view), ["wait Asleep 0-59994", "load Make instance 59994-59995", "guest Run 59995-60000", "wait durable.sleep 59996-59996"]);
  const axis = axisOf(waterfallOf(view, { instant: false, logs: true }), true);
  assert.deepEqual(axis.pieces.map((piece) => piece.folded), [true, false]);
});

test("long waiting is folded; work and short waits are not", () => {
  const day = 86_400_000;
  const timings = { queue_ns: 0, fetch_ns: 0, load_ns: 0, instantiate_ns: 0, first_answer_ns: 0, guest_ns: (day + 20) * MS, total_ns: (day + 20) * MS };
  const view = invocation({ timings, duration_ns: timings.total_ns, journal: [call(0, "nexus:function/durable.sleep", "", day + 10, day)] });
  const waterfall = waterfallOf(view, { instant: false, logs: true });
  const axis = axisOf(waterfall, true);
  assert.deepEqual(axis.pieces.map((piece) => piece.folded), [false, true, false]);
  assert.ok(placeOf(axis, 10 * MS) > 0.4, "the work before it has half of the rest");
  assert.equal(axisOf(waterfall, false).pieces.length, 1);
  const busy = invocation({ journal: [call(0, "wasi:io/poll.poll", "", 9, 9)] });
  assert.equal(axisOf(waterfallOf(busy, { instant: false, logs: true }), true).pieces.length, 1);
});

test("places and times are inverse, and zooming stays inside", () => {
  const axis = { total: 100, pieces: [{ from: 0, to: 10, left: 0, right: 0.45, folded: false }, { from: 10, to: 90, left: 0.45, right: 0.55, folded: true }, { from: 90, to: 100, left: 0.55, right: 1, folded: false }] };
  for (let time = 0; time <= 100; time += 0.5) assert.ok(Math.abs(timeAt(axis, placeOf(axis, time)) - time) < 1e-9);
  let window = WHOLE;
  for (let round = 0; round < 200; round += 1) {
    window = round % 3 ? zoom(window, round % 2 ? 1.7 : 0.5, (round % 10) / 10) : pan(window, (round % 7) - 3);
    assert.ok(window.left >= 0 && window.right <= 1 + 1e-12 && window.right > window.left, JSON.stringify(window));
  }
  const { left, right } = zoom({ left: 0.2, right: 0.4 }, 2, 0.5);
  assert.deepEqual([left, right].map((it) => it.toFixed(9)), ["0.250000000", "0.350000000"]);
  assert.ok(ticks(axis, WHOLE, 6).every((time) => time <= 10 || time >= 90));
});
