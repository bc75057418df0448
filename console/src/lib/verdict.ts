import type { Stats } from "~/api/types";
import { formatCount, formatShare, plural } from "./format";

export interface Verdict {
  tone: "ok" | "warn" | "bad" | "mute";
  headline: string;
  detail: string;
}

/** A share of failures above this is bad, and above the other one worth a look. */
const BAD_SHARE = 0.05;
const WARN_SHARE = 0.005;

/** Whether all is well, in a sentence. */
export function verdictOf(stats: Stats): Verdict {
  const { totals, now, functions } = stats;
  const share = totals.invocations ? totals.failed / totals.invocations : 0;
  const worst = functions.toSorted((one, other) => other.failed - one.failed)[0];
  const mostly = worst?.failed ? `, most of them in ${worst.function}` : "";
  const waits = now.dead_letters ? ` ${plural(now.dead_letters, "dead letter")} ${now.dead_letters === 1 ? "waits" : "wait"} for you.` : "";
  if (totals.invocations === 0) return { tone: "mute", headline: "All quiet", detail: `Nothing ran in this time.${waits}` };
  if (totals.failed === 0)
    return { tone: "ok", headline: "All is well", detail: `${formatCount(totals.invocations)} invocations, none failed.${waits}` };
  const failed = `${formatShare(share)} of ${formatCount(totals.invocations)} invocations failed${mostly}.${waits}`;
  if (share > BAD_SHARE) return { tone: "bad", headline: "Many invocations fail", detail: failed };
  if (share > WARN_SHARE) return { tone: "warn", headline: "Some invocations fail", detail: failed };
  return { tone: "ok", headline: "Almost all is well", detail: failed };
}
