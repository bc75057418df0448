import assert from "node:assert/strict";
import test from "node:test";

import { deadFilters, eventFilters, invocationFilters, toggled } from "./filters";

test("a search keeps what makes sense and drops the rest", () => {
  assert.deepEqual(
    invocationFilters({ function: "orders", status: "failed,nonsense,trapped", trigger: "http", cold: "true", since: "15m", min_duration: "1.5s", trace: "zz", event: "evt_1", unknown: 1 }),
    { function: "orders", status: "failed,trapped", trigger: "http", cold: true, since: "15m", min_duration: "1.5s", event: "evt_1" },
  );
  assert.deepEqual(invocationFilters({ status: "nonsense", cold: "perhaps", since: "yesterday", min_duration: "long", function: " " }), {});
  assert.deepEqual(invocationFilters({ text: 42 }), { text: "42" });
});

test("filters survive the URL that they were written to", () => {
  const filters = { function: "orders", status: "failed", cold: false, until: "2026-11-26T12:00:00Z", where: '.input.url == "/a&b"' };
  const url = new URLSearchParams(Object.entries(filters).map(([name, value]) => [name, String(value)]));
  assert.deepEqual(invocationFilters(Object.fromEntries(url)), filters);
});

test("events and dead letters have filters of their own", () => {
  assert.deepEqual(eventFilters({ type: "com.*", cause: "inv_1", system: true, status: "failed" }), { type: "com.*", cause: "inv_1", system: true });
  assert.deepEqual(deadFilters({ function: "pay", code: "NX5003", since: "1h" }), { function: "pay", code: "NX5003", since: "1h" });
  assert.deepEqual(deadFilters({ code: "5003" }), {});
});

test("words go in and out of a list", () => {
  assert.equal(toggled(undefined, "a"), "a");
  assert.equal(toggled("a", "b"), "a,b");
  assert.equal(toggled("a,b", "a"), "b");
  assert.equal(toggled("a", "a"), undefined);
});
