import type { DeadLetterCount } from "~/api/types";
import type { DeadFilters } from "~/lib/filters";
import { formatCount } from "~/lib/format";
import { cx } from "~/ui/cx";

interface Props {
  counts: DeadLetterCount[];
  filters: DeadFilters;
  onChange: (filters: DeadFilters) => void;
}

/** What the dead letters died of: one box a function and reason. A click shows only these. */
export function ReasonGroups({ counts, filters, onChange }: Props) {
  const most = Math.max(...counts.map((it) => it.count), 1);
  return (
    <ul aria-label="Reasons" className="grid gap-2.5 sm:grid-cols-2 lg:grid-cols-3 xl:grid-cols-4">
      {counts
        .toSorted((one, other) => other.count - one.count)
        .map((group) => {
          const chosen = filters.function === group.function && filters.code === group.code;
          return (
            <li key={`${group.function}-${group.trigger}-${group.code}`}>
              <button
                type="button"
                aria-pressed={chosen}
                onClick={() => onChange(chosen ? {} : { function: group.function, code: group.code, ...(group.trigger ? { trigger: group.trigger } : {}) })}
                className={cx(
                  "relative flex w-full flex-col gap-0.5 overflow-hidden rounded-lg border px-4 py-3 text-left transition-colors",
                  chosen ? "border-accent bg-accent-soft" : "border-line hover:border-line-strong",
                )}
              >
                <span className="flex items-baseline justify-between gap-3">
                  <span className="truncate font-medium">{group.function}</span>
                  <span className="nums text-lg font-semibold">{formatCount(group.count)}</span>
                </span>
                <span className="truncate text-xs text-ink-2">
                  {MEANINGS[group.code] ?? "given up"} <span className="font-mono text-2xs text-ink-3">{group.code}</span>
                  {group.trigger && `, by ${group.trigger}`}
                </span>
                <span aria-hidden className="absolute bottom-0 left-0 h-0.5 bg-bad" style={{ width: `${(group.count / most) * 100}%` }} />
              </button>
            </li>
          );
        })}
    </ul>
  );
}

/** The codes that deliveries end with, in a few words; each has a page. */
const MEANINGS: Record<string, string> = {
  NX5001: "trapped",
  NX5002: "failed",
  NX5003: "refused the event",
  NX5004: "timed out",
  NX5005: "ran out of memory",
  NX5006: "was stopped",
  NX6005: "the queue was full",
};
