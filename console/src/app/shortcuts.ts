import { useEffect } from "react";

import { allActions } from "./actions";

/** How long the second key of `g i` may take. */
const SECOND_KEY_MS = 1_200;

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** How the keys of an action are shown: `["⌘", "K"]`. */
export function shownKeys(keys: string): string[] {
  return keys.split(" ").flatMap((step) =>
    step.split("+").map((key) => {
      if (key === "mod") return isMac ? "⌘" : "Ctrl";
      return key.length === 1 ? key.toUpperCase() : key.charAt(0).toUpperCase() + key.slice(1);
    }),
  );
}

/** Listens for the shortcuts of all actions that are offered. Keys that are typed into a field are left alone. */
export function useShortcuts(): void {
  useEffect(() => {
    let first: { key: string; at: number } | undefined;
    const onKey = (event: KeyboardEvent) => {
      const typed = stepOf(event);
      if (!typed || (!typed.startsWith("mod+") && isField(event.composedPath()[0] ?? null))) return;
      if (document.querySelector("[role=dialog], [role=menu]") && !typed.startsWith("mod+")) return;
      const sequence = first && event.timeStamp - first.at < SECOND_KEY_MS ? `${first.key} ${typed}` : undefined;
      const actions = allActions().filter((action) => !action.disabledReason);
      const action = actions.find(({ keys }) => keys && (keys === sequence || keys === typed));
      first = action ? undefined : { key: typed, at: event.timeStamp };
      if (!action) return;
      event.preventDefault();
      action.perform();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function stepOf(event: KeyboardEvent): string | undefined {
  if (event.altKey || event.isComposing || ["Control", "Meta", "Shift", "Alt"].includes(event.key)) return undefined;
  const mod = event.ctrlKey || event.metaKey ? "mod+" : "";
  return mod + event.key.toLowerCase();
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
