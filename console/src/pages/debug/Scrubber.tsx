import { useState } from "react";

import type { DebugState, TimelineEntry } from "~/api/debug";
import { kindOf, nameOf, type SpanKind } from "~/lib/waterfall";
import { cx } from "~/ui/cx";

const INKS: Record<SpanKind, string> = {
  queue: "bg-bar-queue",
  load: "bg-bar-load",
  guest: "bg-bar-guest",
  http: "bg-bar-call",
  call: "bg-bar-call",
  state: "bg-bar-effect",
  event: "bg-bar-effect",
  wait: "bg-mute",
  io: "bg-mute",
  read: "bg-mute",
};

interface Props {
  timeline: TimelineEntry[];
  state: DebugState;
  busy: boolean;
  onGo: (operation: number) => void;
}

/** All of time in one line: drag to any moment of the invocation. */
export function Scrubber({ timeline, state, busy, onGo }: Props) {
  const [dragged, setDragged] = useState<number>();
  const total = Math.max(state.operations, 1);
  const at = dragged ?? state.operation;
  const next = timeline.find((entry) => entry.kind === "operation" && entry.operation === at);
  const finish = () => {
    if (dragged !== undefined && dragged !== state.operation) onGo(dragged);
    setDragged(undefined);
  };
  return (
    <div className={cx("rounded-lg border border-line px-4 pt-3 pb-2", busy && "opacity-70")}>
      <div className="relative h-9">
        <div aria-hidden className="absolute inset-x-0 top-0 h-6">
          {timeline.map((entry, index) =>
            entry.kind === "operation" ? (
              <span
                key={index}
                className={cx(
                  "absolute bottom-0 w-0.5 -translate-x-1/2 rounded-full",
                  INKS[kindOf(entry.function)],
                  INKS[kindOf(entry.function)] === "bg-mute" ? "h-3" : "h-6",
                  entry.operation >= at && "opacity-45",
                )}
                style={{ left: `${((entry.operation + 0.5) / total) * 100}%` }}
              />
            ) : (
              <span key={index} className="absolute top-0.5 size-1.5 -translate-x-1/2 rotate-45 bg-ink-3" style={{ left: `${(entry.after / total) * 100}%` }} />
            ),
          )}
        </div>
        <input
          type="range"
          aria-label="Moment of the invocation"
          aria-valuetext={`${at} of ${state.operations} operations answered`}
          min={0}
          max={state.operations}
          value={at}
          onChange={(event) => setDragged(Number(event.target.value))}
          onPointerUp={finish}
          onKeyUp={finish}
          className="absolute inset-x-0 bottom-0 h-3 w-full cursor-ew-resize accent-accent"
        />
      </div>
      <div className="nums flex justify-between gap-4 text-xs text-ink-3">
        <span>
          {at} of {state.operations} operations answered
        </span>
        <span className="truncate font-mono text-2xs">
          {next?.kind === "operation" ? `next: ${nameOf(next.function)} ${next.arguments}` : "the function goes on to its end"}
        </span>
      </div>
    </div>
  );
}
