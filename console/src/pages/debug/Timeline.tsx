import { useEffect, useRef } from "react";

import type { DebugState, TimelineEntry } from "~/api/debug";
import { LogText } from "~/components/LogLines";
import { nameOf } from "~/lib/waterfall";
import { cx } from "~/ui/cx";
import { Section } from "~/ui/layout";
import type { Debugger } from "./useDebugger";

/** Everything that came in and went out. A click goes there; a dot stops there. */
export function Timeline({ timeline, state, session }: { timeline: TimelineEntry[]; state: DebugState; session: Debugger }) {
  const stops = session.stops.operations;
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }, [state.operation]);
  const toggle = (name: string) => {
    session.stopAt({ operations: stops.includes(name) ? stops.filter((it) => it !== name) : [...stops, name] });
  };
  return (
    <Section title="Timeline" about="what the world answered">
      <ol ref={list} className="max-h-[32rem] overflow-y-auto rounded-lg border border-line text-xs">
        {timeline.map((entry, index) =>
          entry.kind === "log" ? (
            <li key={index} className={cx("truncate border-b border-line py-1.5 pr-3 pl-9 text-ink-2", entry.after > state.operation && "opacity-60")}>
              <LogText line={entry.log} inline />
            </li>
          ) : (
            <li
              key={index}
              aria-current={entry.operation === state.operation - 1 ? "step" : undefined}
              className={cx("flex items-center border-b border-line last:border-b-0", entry.operation === state.operation - 1 ? "bg-accent-soft" : "hover:bg-hover")}
            >
              <button
                type="button"
                aria-label={`Stop at ${nameOf(entry.function)}`}
                aria-pressed={stops.includes(entry.function)}
                onClick={() => toggle(entry.function)}
                className="group flex size-7 shrink-0 items-center justify-center"
              >
                <span className={cx("size-2 rounded-full", stops.includes(entry.function) ? "bg-bad" : "bg-transparent group-hover:bg-line-strong")} />
              </button>
              <button
                type="button"
                onClick={() => session.tell({ command: "run-to", operation: entry.operation + 1 })}
                className={cx("flex h-7 min-w-0 flex-1 items-center gap-2 pr-3 text-left", entry.operation >= state.operation && "text-ink-3")}
              >
                <span className="nums w-6 shrink-0 text-right text-2xs text-ink-3">{entry.operation}</span>
                <span className="shrink-0 font-mono text-2xs">{nameOf(entry.function)}</span>
                <span className="truncate font-mono text-2xs text-ink-3">{[entry.arguments, entry.summary].filter(Boolean).join(" → ")}</span>
              </button>
            </li>
          ),
        )}
      </ol>
    </Section>
  );
}
