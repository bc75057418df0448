import { ChevronLeft, ChevronRight, FastForward, Rewind, SkipBack, SkipForward, type LucideIcon } from "lucide-react";
import { useMemo, useState } from "react";

import type { DebugCommand, StepBy } from "~/api/debug";
import { useActions, type Action } from "~/app/actions";
import { shownKeys } from "~/app/shortcuts";
import { IconButton } from "~/ui/Button";
import { Select } from "~/ui/fields";
import type { Debugger } from "./useDebugger";

const STEPS: [StepBy, string, boolean][] = [
  ["operation", "operations", false],
  ["line", "lines", true],
  ["over", "lines, over calls", true],
  ["out", "out of the function", true],
  ["instruction", "instructions", false],
];

/** Steps in both directions of time. */
export function StepBar({ session, hasLines }: { session: Debugger; hasLines: boolean }) {
  const [by, setBy] = useState<StepBy>("operation");
  const { tell, state } = session;
  const end = state?.operations ?? 0;
  const buttons = useMemo(() => {
    const button = (id: string, label: string, icon: LucideIcon, keys: string, command: DebugCommand) =>
      ({ id, label, icon, keys, group: "Debugger", perform: () => tell(command) }) satisfies Action;
    return [
      button("to-start", "To the beginning", SkipBack, "home", { command: "run-to", operation: 0 }),
      button("continue-back", "Back to the breakpoint before", Rewind, "b", { command: "continue", back: true }),
      button("step-back", "A step back", ChevronLeft, "arrowleft", { command: "step", by, back: true }),
      button("step", "A step", ChevronRight, "arrowright", { command: "step", by, back: false }),
      button("continue", "To the next breakpoint, or the end", FastForward, "c", { command: "continue", back: false }),
      button("to-end", "To the last operation", SkipForward, "end", { command: "run-to", operation: end }),
    ];
  }, [by, end, tell]);
  useActions(buttons);
  return (
    <div className="flex flex-wrap items-center gap-3">
      <div role="group" aria-label="Steps" className="flex rounded-md border border-line">
        {buttons.map(({ id, label, icon, keys, perform }) => (
          <IconButton key={id} label={label} icon={icon} keys={shownKeys(keys)} onClick={perform} className="size-8" />
        ))}
      </div>
      <div className="flex items-center gap-2 text-xs text-ink-3">
        <span id="step-by">Steps go by</span>
        <Select aria-labelledby="step-by" value={by} onChange={(event) => setBy(STEPS.find(([it]) => it === event.target.value)?.[0] ?? "operation")} className="w-44">
          {STEPS.map(([value, label, wantsLines]) => (
            <option key={value} value={value} disabled={wantsLines && !hasLines}>
              {label}
            </option>
          ))}
        </Select>
        {!hasLines && <span>The component has no line tables.</span>}
      </div>
    </div>
  );
}
