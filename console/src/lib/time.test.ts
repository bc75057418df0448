import assert from "node:assert/strict";
import test from "node:test";

import {
  boundOf,
  formatClock,
  formatDuration,
  formatMoment,
  formatRelative,
  fromLocalInput,
  parseSpan,
  sameDay,
  toLocalInput,
} from "./time";

test("durations have three digits and one unit", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [7, "7 ns"],
    [999, "999 ns"],
    [1_500, "1.5 µs"],
    [999_499, "999 µs"],
    [999_500, "1 ms"],
    [15_628_052, "15.6 ms"],
    [999_499_999, "999 ms"],
    [999_500_000, "1 s"],
    [59_940_000_000, "59.9 s"],
    [60_000_000_000, "1 m"],
    [80_000_000_000, "1 m 20 s"],
    [3_600_000_000_000, "1 h"],
    [93_600_000_000_000, "1 d 2 h"],
  ];
  for (const [ns, text] of cases) assert.equal(formatDuration(ns), text, String(ns));
});

test("relative times look back and ahead", () => {
  const now = new Date("2026-11-26T12:00:00Z");
  const at = (seconds: number) => formatRelative(new Date(now.getTime() - seconds * 1_000), now);
  assert.deepEqual(
    [0, 1, 59, 60, 3_599, 3_600, 86_400, -30, -7_200].map(at),
    ["now", "now", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "1 d ago", "in 30 s", "in 2 h"],
  );
});

test("one moment is shown as each zone has it", () => {
  const at = new Date("2026-11-26T23:30:05.042Z");
  assert.equal(formatClock(at, "UTC"), "23:30:05.042");
  assert.equal(formatClock(at, "Asia/Kolkata"), "05:00:05.042");
  assert.equal(formatMoment(at, "UTC"), "Thu 26 Nov 2026, 23:30:05.042 UTC");
  assert.match(formatMoment(at, "Asia/Tokyo"), /^Fri 27 Nov 2026, 08:30:05.042/);
  assert.equal(sameDay(at, new Date("2026-11-27T00:10:00Z"), "UTC"), false);
  assert.equal(sameDay(at, new Date("2026-11-27T00:10:00Z"), "America/New_York"), true);
});

test("what is typed means the moment in the zone, also around a change of the clocks", () => {
  const zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
  const moments = ["2026-11-26T12:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-10-25T02:30:00Z"];
  for (const zone of zones)
    for (const moment of moments) {
      const at = new Date(moment);
      assert.equal(fromLocalInput(toLocalInput(at, zone), zone)?.toISOString(), at.toISOString(), `${moment} in ${zone}`);
    }
  assert.equal(fromLocalInput("nonsense", "UTC"), undefined);
});

test("spans become moments before now, moments stay", () => {
  const now = new Date("2026-11-26T12:00:00Z");
  assert.equal(parseSpan("15m"), 900_000);
  assert.equal(parseSpan("15 m"), undefined);
  assert.equal(boundOf("1h", now), "2026-11-26T11:00:00.000Z");
  assert.equal(boundOf("2026-01-01T00:00:00Z", now), "2026-01-01T00:00:00Z");
  assert.equal(boundOf(undefined, now), undefined);
});
