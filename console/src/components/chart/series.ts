import type { Stats } from "~/api/types";
import type { Series } from "./Chart";

export function timesOf(stats: Stats): number[] {
  return stats.buckets.map((bucket) => Date.parse(bucket.at));
}

/** All invocations, and over them those that did not succeed. */
export function invocationSeries({ buckets }: Stats): Series[] {
  return [
    { label: "All", colour: "bar-guest", shape: "bars", values: buckets.map((it) => it.invocations) },
    { label: "Failed", colour: "bad", shape: "bars", values: buckets.map((it) => it.failed || null) },
  ];
}

export function durationSeries({ buckets }: Stats): Series[] {
  const of = (name: "p50_ns" | "p95_ns" | "p99_ns") => buckets.map((it) => it[name] ?? null);
  return [
    { label: "Median", colour: "run", shape: "line", values: of("p50_ns") },
    { label: "95 %", colour: "accent", shape: "line", values: of("p95_ns") },
    { label: "99 %", colour: "bar-effect", shape: "line", values: of("p99_ns") },
  ];
}
