import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useState } from "react";

import { queries } from "./queries";

/** Whether a stream is there: `waiting` while it is being opened (again), `off` while nobody looks. */
export type LiveState = "live" | "waiting" | "off";

/** How often what came is handed over: a burst of a thousand becomes one update of the page. */
const HAND_OVER_MS = 250;
/** What is kept between two hand-overs; older ones are left out, the list has them when it is loaded again. */
const KEPT_MAX = 500;
/** A hidden page gives its connection back: a browser has only six of them for one server. */
const HIDDEN_MS = 10_000;
/** After a refusal it is tried again this much later. */
const AGAIN_MS = 3_000;

interface Options<T> {
  /** The path with its query, without `after`. Nothing is opened without it. */
  path: string | undefined;
  /** How the stream names what it sends. */
  kind: "invocation" | "event" | "log" | "progress";
  onItems: (items: T[], missed: number) => void;
}

/** Follows a stream of server-sent events, and goes on where it was after a break. */
export function useLive<T>({ path, kind, onItems }: Options<T>): LiveState {
  const [state, setState] = useState<LiveState>("waiting");
  const client = useQueryClient();
  const handOver = useEffectEvent(onItems);
  const askWhoIAm = useEffectEvent(() => void client.invalidateQueries({ queryKey: queries.session().queryKey }));
  useEffect(() => {
    if (!path) return undefined;
    let source: EventSource | undefined;
    let after: string | undefined;
    let kept: T[] = [];
    let missed = 0;
    let hiding: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      const url = new URL(path, location.origin);
      if (after) url.searchParams.set("after", after);
      source = new EventSource(url);
      source.addEventListener("open", () => setState("live"));
      source.addEventListener("error", () => {
        setState("waiting");
        // The browser comes back by itself after a break, but not after a refusal: then the session may have ended.
        if (source?.readyState !== EventSource.CLOSED) return;
        askWhoIAm();
        again = setTimeout(open, AGAIN_MS);
      });
      source.addEventListener(kind, (message: MessageEvent<string>) => {
        after = message.lastEventId || after;
        kept.push(JSON.parse(message.data) as T);
        if (kept.length > KEPT_MAX) {
          kept.shift();
          missed += 1;
        }
      });
    };
    const close = () => {
      clearTimeout(again);
      source?.close();
      source = undefined;
      setState("off");
    };
    const onVisibility = () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
      else if (!source) open();
    };
    const timer = setInterval(() => {
      if (kept.length === 0) return;
      const items = kept.toReversed();
      kept = [];
      handOver(items, missed);
      missed = 0;
    }, HAND_OVER_MS);
    open();
    document.addEventListener("visibilitychange", onVisibility);
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      clearTimeout(hiding);
      clearInterval(timer);
      clearTimeout(again);
      source?.close();
    };
  }, [path, kind]);
  return path ? state : "off";
}
