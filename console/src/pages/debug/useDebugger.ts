import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { closeDebugger, openDebugger, tellDebugger, type DebugCommand, type DebugState, type LineBreakpoint } from "~/api/debug";

// A session whose page is gone is closed a moment later: a page that is only drawn anew takes it up again.
const closing = new Map<string, ReturnType<typeof setTimeout>>();
const CLOSE_MS = 1_000;

/** A session of the debugger: opened with the page, closed with it. */
export function useDebugger(project: string, invocation: string) {
  const opening = useQuery({
    queryKey: [project, "debugger", invocation],
    staleTime: Infinity,
    gcTime: 0,
    retry: false,
    queryFn: () => openDebugger(project, invocation),
  });
  const session = opening.data?.session;
  useEffect(() => {
    if (!session) return undefined;
    clearTimeout(closing.get(session));
    closing.delete(session);
    return () => {
      const close = () => void closeDebugger(project, invocation, session).catch(() => undefined);
      closing.set(session, setTimeout(close, CLOSE_MS));
    };
  }, [project, invocation, session]);
  // While a command is under way, and when one was refused, the page shows where the guest stood before.
  const [state, setState] = useState<DebugState>();
  const telling = useMutation({
    meta: { shownInPlace: true },
    onSuccess: setState,
    mutationFn: (command: DebugCommand) => tellDebugger(project, invocation, session ?? "", command),
  });
  const { mutate } = telling;
  const tell = (command: DebugCommand) => {
    if (!telling.isPending) mutate(command);
  };
  // All of them are said each time: operations are chosen in the timeline, lines in the code.
  const [stops, setStops] = useState<Stops>({ operations: [], lines: [] });
  return {
    opening,
    opened: opening.data,
    state: state ?? opening.data?.state,
    busy: telling.isPending,
    problem: telling.error,
    tell,
    stops,
    stopAt: (next: Partial<Stops>) => {
      if (telling.isPending) return;
      const all = { ...stops, ...next };
      setStops(all);
      mutate({ command: "breakpoints", ...all });
    },
    /** Runs to a line, and leaves the breakpoints as they were. */
    runToLine: async (line: LineBreakpoint, back: boolean) => {
      if (telling.isPending || !session) return;
      const before = { command: "breakpoints", ...stops } as const;
      await telling.mutateAsync({ command: "breakpoints", operations: [], lines: [line] });
      const there = await telling.mutateAsync({ command: "continue", back });
      const after = await telling.mutateAsync(before);
      setState({ ...there, breakpoints: after.breakpoints });
    },
  };
}

interface Stops {
  operations: string[];
  lines: LineBreakpoint[];
}

export type Debugger = ReturnType<typeof useDebugger>;
