import type { KeyboardEvent, ReactNode } from "react";

import { stepRow } from "~/components/VirtualTable";

/** Rows that J, K and the arrows go through. */
export function Steps({ children }: { children: ReactNode }) {
  const step = (event: KeyboardEvent<HTMLDivElement>) => {
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    stepRow(event.currentTarget, by);
  };
  // The keys only add to what Tab does.
  // oxlint-disable-next-line jsx-a11y/no-static-element-interactions
  return <div onKeyDown={step}>{children}</div>;
}
