import { useCallback, useMemo, useState } from "react";

import { useLive, type LiveState } from "~/api/live";

/** More rows than this are not put on top of a list: whoever waits that long loads it again. */
const FRESH_MAX = 2_000;

interface Options<T> {
  /** What was loaded, newest first. */
  loaded: T[];
  path: string | undefined;
  kind: "invocation" | "event" | "log";
  idOf: (row: T) => string;
  /** Whether somebody reads: then nothing moves, and what is new waits. */
  reading: boolean;
}

interface LiveRows<T> {
  rows: T[];
  /** How many wait to be shown. */
  waiting: number;
  show: () => void;
  state: LiveState;
  /** The ids that came while the page was open. */
  fresh: ReadonlySet<string>;
}

/** A list that grows at its top, but never under the eyes of somebody who reads it. */
export function useLiveRows<T>({ loaded, path, kind, idOf, reading }: Options<T>): LiveRows<T> {
  // What came belongs to one stream: with other filters it is forgotten.
  const [arrived, setArrived] = useState<{ path?: string | undefined; shown: T[]; waiting: T[] }>({ shown: [], waiting: [] });
  const current = arrived.path === path ? arrived : { path, shown: [], waiting: [] };

  const state = useLive<T>({
    path,
    kind,
    onItems: (items) =>
      setArrived((before) => {
        const base = before.path === path ? before : { path, shown: [], waiting: [] };
        return reading
          ? { ...base, waiting: [...items, ...base.waiting].slice(0, FRESH_MAX) }
          : { path, shown: [...items, ...base.waiting, ...base.shown].slice(0, FRESH_MAX), waiting: [] };
      }),
  });

  const show = useCallback(
    () =>
      setArrived((before) => ({
        ...before,
        shown: [...before.waiting, ...before.shown].slice(0, FRESH_MAX),
        waiting: [],
      })),
    [],
  );

  const { shown } = current;
  const fresh = useMemo(() => new Set(shown.map(idOf)), [shown, idOf]);
  const rows = useMemo(() => [...shown, ...loaded.filter((row) => !fresh.has(idOf(row)))], [shown, loaded, fresh, idOf]);
  return { rows, waiting: current.waiting.length, show, state, fresh };
}
