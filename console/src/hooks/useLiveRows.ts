import { useCallback, useMemo, useState } from "react";

import { useLive, type LiveState } from "~/api/live";

/** More rows than this are not put on top of a list: it is loaded again instead, and goes on from there. */
const FRESH_MAX = 2_000;

interface Options<T> {
  /** What was loaded, newest first. */
  loaded: T[];
  path: string | undefined;
  kind: "invocation" | "event" | "log";
  idOf: (row: T) => string;
  /** Whether somebody reads: then nothing moves, and what is new waits. */
  reading: boolean;
  /** Loads the list again. */
  reload: () => void;
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

interface Arrived<T> {
  path: string | undefined;
  shown: T[];
  waiting: T[];
  /** More came than is kept: what is here has gaps. */
  gaps: boolean;
}

/** A list that grows at its top, but never under the eyes of somebody who reads it. */
export function useLiveRows<T>({ loaded, path, kind, idOf, reading, reload }: Options<T>): LiveRows<T> {
  const nothing: Arrived<T> = { path, shown: [], waiting: [], gaps: false };
  const [arrived, setArrived] = useState(nothing);
  // What came belongs to one stream: with other filters it is forgotten.
  const current = arrived.path === path || path === undefined ? arrived : nothing;

  const state = useLive<T>({
    path,
    kind,
    onItems: (items, missed) => {
      const waiting = [...items, ...current.waiting];
      const gaps = current.gaps || missed > 0 || waiting.length + current.shown.length > FRESH_MAX;
      if (reading) setArrived({ ...current, path, waiting: waiting.slice(0, FRESH_MAX), gaps });
      else if (gaps) {
        setArrived(nothing);
        reload();
      } else setArrived({ path, shown: [...waiting, ...current.shown], waiting: [], gaps });
    },
  });

  const { shown, waiting, gaps } = current;
  const show = useCallback(() => {
    if (gaps) reload();
    setArrived((before) => ({ ...before, shown: gaps ? [] : [...before.waiting, ...before.shown], waiting: [], gaps: false }));
  }, [gaps, reload]);

  const fresh = useMemo(() => new Set(shown.map(idOf)), [shown, idOf]);
  const rows = useMemo(() => [...shown, ...loaded.filter((row) => !fresh.has(idOf(row)))], [shown, loaded, fresh, idOf]);
  return { rows, waiting: waiting.length, show, state, fresh };
}
