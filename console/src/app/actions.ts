import type { LucideIcon } from "lucide-react";
import { useEffect, useSyncExternalStore } from "react";

/**
 * Something that a person can do here and now. One object feeds the button, the command palette and the shortcut, so
 * that they cannot differ.
 */
export interface Action {
  id: string;
  label: string;
  group: string;
  icon?: LucideIcon;
  /** `g i` is two keys after one another, `mod+k` one with Ctrl or ⌘. */
  keys?: string;
  /** More words by which it is found. */
  words?: string;
  /** Why it cannot be done now; the button stays visible and says it. */
  disabledReason?: string | undefined;
  perform: () => void;
}

type Source = readonly Action[];

// The latest registered come first: what a page can do stands before what is possible everywhere.
let sources: Source[] = [];
let all: Action[] = [];
const listeners = new Set<() => void>();

function changed(next: Source[]): void {
  sources = next;
  all = sources.toReversed().flat();
  for (const listener of listeners) listener();
}

/** Offers actions as long as the component is there. Memoise the list. */
export function useActions(actions: Source): void {
  useEffect(() => {
    changed([...sources, actions]);
    return () => changed(sources.filter((source) => source !== actions));
  }, [actions]);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useAllActions(): readonly Action[] {
  return useSyncExternalStore(subscribe, () => all);
}

export function allActions(): readonly Action[] {
  return all;
}
