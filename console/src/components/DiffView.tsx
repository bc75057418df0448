import { useMemo, useState } from "react";

import { differences, lineDiff, type Difference, type DiffLine, type Json } from "~/lib/diff";
import { plural } from "~/lib/format";
import { cx } from "~/ui/cx";
import { Segmented } from "~/ui/Tabs";

interface Props {
  before: Json;
  after: Json;
  names: [before: string, after: string];
}

/** Lines around a difference that stay visible. */
const CONTEXT = 3;

/** Where two values differ: by their places, or line by line. */
export function DiffView({ before, after, names }: Props) {
  const found = useMemo(() => differences(before, after), [before, after]);
  const [view, setView] = useState<"places" | "lines">("lines");
  if (found.length === 0)
    return <p className="text-sm text-ink-2">{names[0]} and {names[1].charAt(0).toLowerCase() + names[1].slice(1)} are equal, byte for byte.</p>;
  return (
    <div className="flex min-w-0 flex-col gap-2">
      <div className="flex flex-wrap items-center justify-between gap-2 text-xs text-ink-3">
        <span>
          {plural(found.length, "difference")}: <span className="text-bad">− {names[0]}</span>, <span className="text-ok">+ {names[1]}</span>
        </span>
        <Segmented
          label="How differences are shown"
          value={view}
          onChange={setView}
          choices={[
            { value: "lines", label: "Lines" },
            { value: "places", label: "Places" },
          ]}
        />
      </div>
      {view === "places" ? <Places found={found} /> : <Lines before={before} after={after} />}
    </div>
  );
}

function Places({ found }: { found: Difference[] }) {
  return (
    <ul className="overflow-x-auto rounded-lg border border-line font-mono text-xs">
      {found.map((difference) => (
        <li key={difference.path} className="border-b border-line px-3 py-1.5 last:border-b-0">
          <div className="text-ink-3">{difference.path || "the whole value"}</div>
          {difference.kind !== "added" && <div className="break-words text-bad">− {JSON.stringify(difference.before)}</div>}
          {difference.kind !== "removed" && <div className="break-words text-ok">+ {JSON.stringify(difference.after)}</div>}
        </li>
      ))}
    </ul>
  );
}

function Lines({ before, after }: { before: Json; after: Json }) {
  const hunks = useMemo(() => hunksOf(lineDiff(JSON.stringify(before, null, 2), JSON.stringify(after, null, 2))), [before, after]);
  return (
    <div className="overflow-x-auto rounded-lg border border-line bg-sunken py-1 font-mono text-xs leading-5">
      {hunks.map((line, index) =>
        line === "gap" ? (
          <div key={index} className="px-3 text-ink-3 select-none">
            ⋯
          </div>
        ) : (
          <div
            key={index}
            className={cx(
              "px-3 break-words whitespace-pre-wrap",
              line.kind === "added" && "bg-ok-soft",
              line.kind === "removed" && "bg-bad-soft",
            )}
          >
            <span aria-label={line.kind} className={cx("mr-2 inline-block w-2 select-none", line.kind === "added" ? "text-ok" : "text-bad")}>
              {{ same: " ", added: "+", removed: "−" }[line.kind]}
            </span>
            {line.text}
          </div>
        ),
      )}
    </div>
  );
}

/** Only what differs, with a few lines around it. */
function hunksOf(lines: DiffLine[]): (DiffLine | "gap")[] {
  const near = new Set<number>();
  for (const [index, line] of lines.entries())
    if (line.kind !== "same") for (let at = index - CONTEXT; at <= index + CONTEXT; at += 1) near.add(at);
  const shown: (DiffLine | "gap")[] = [];
  for (const [index, line] of lines.entries())
    if (near.has(index)) shown.push(line);
    else if (shown.at(-1) !== "gap") shown.push("gap");
  return shown;
}
