import { useSyncExternalStore } from "react";

import type { Zone } from "~/lib/time";

/** What this browser remembers: how things look, never what they hold. */
export interface Preferences {
  theme: "system" | "light" | "dark";
  zone: Zone;
  /** The project that was looked at last. */
  project?: string;
  sidebar: "wide" | "narrow";
}

const KEY = "nexus.preferences";
const DEFAULTS: Preferences = { theme: "system", zone: "local", sidebar: "wide" };

let current = read();
const listeners = new Set<() => void>();
const systemDark = matchMedia("(prefers-color-scheme: dark)");
systemDark.addEventListener("change", () => paint(current));

function read(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    return DEFAULTS;
  }
}

function paint(preferences: Preferences): void {
  const dark = preferences.theme === "dark" || (preferences.theme === "system" && systemDark.matches);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Storage may be closed to us; then the choice lasts as long as the page.
  }
  paint(current);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, () => current);
}

export function preferences(): Preferences {
  return current;
}
