import { useState } from "react";

import { usePreferences } from "~/app/preferences";
import { boundOf, formatClock, formatDay, fromLocalInput, parseSpan, toLocalInput, zoneLabel } from "~/lib/time";
import { Button } from "~/ui/Button";
import { cx } from "~/ui/cx";
import { Field, Input } from "~/ui/fields";
import { FilterChip } from "./FilterChip";

const SPANS = [
  ["15m", "15 minutes"],
  ["1h", "Hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
] as const;

interface Bounds {
  since?: string | undefined;
  until?: string | undefined;
}

/** From when to when: the last so many minutes, or two moments. */
export function TimeFilter({ since, until, onChange }: Bounds & { onChange: (bounds: Bounds) => void }) {
  return (
    <FilterChip label="Time" value={useShown({ since, until })} onClear={() => onChange({})} form>
      <div className="flex w-80 max-w-full flex-col gap-3">
        <div className="grid grid-cols-3 gap-1.5">
          {SPANS.map(([span, label]) => (
            <button
              key={span}
              type="button"
              aria-pressed={since === span && !until}
              onClick={() => onChange({ since: span })}
              className={cx(
                "h-7 rounded-md border text-xs",
                since === span && !until ? "border-accent-line bg-accent-soft font-medium text-accent" : "border-line hover:bg-hover",
              )}
            >
              {label}
            </button>
          ))}
        </div>
        <Between key={`${since} ${until}`} since={since} until={until} onChange={onChange} />
      </div>
    </FilterChip>
  );
}

function Between({ since, until, onChange }: Bounds & { onChange: (bounds: Bounds) => void }) {
  const { zone } = usePreferences();
  const shown = (bound: string | undefined) => {
    const moment = boundOf(bound, new Date());
    return moment ? toLocalInput(new Date(moment), zone) : "";
  };
  const [from, setFrom] = useState(shown(since));
  const [to, setTo] = useState(shown(until));
  const apply = () =>
    onChange({ since: fromLocalInput(from, zone)?.toISOString(), until: fromLocalInput(to, zone)?.toISOString() });
  return (
    <form
      className="flex flex-col gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <Field label={`From (${zoneLabel(new Date(), zone)})`}>
        {(id) => (
          <Input id={id} type="datetime-local" step="1" value={from} onChange={(event) => setFrom(event.target.value)} />
        )}
      </Field>
      <Field label="To">
        {(id) => <Input id={id} type="datetime-local" step="1" value={to} onChange={(event) => setTo(event.target.value)} />}
      </Field>
      <Button type="submit" size="sm" onClick={apply}>
        Apply
      </Button>
    </form>
  );
}

function useShown({ since, until }: Bounds): string | undefined {
  const { zone } = usePreferences();
  const text = (bound: string) => {
    if (parseSpan(bound) !== undefined) return bound;
    const at = new Date(bound);
    return `${formatDay(at, zone)} ${formatClock(at, zone).slice(0, 8)}`;
  };
  if (since && until) return `${text(since)} to ${text(until)}`;
  if (since) return parseSpan(since) === undefined ? `since ${text(since)}` : `last ${since}`;
  return until ? `until ${text(until)}` : undefined;
}
