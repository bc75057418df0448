import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useSyncExternalStore, type ReactNode } from "react";

/** How long a good message stays; bad ones stay until they are closed. */
const SHOWN_MS = 6_000;

interface Toast {
  id: number;
  good: boolean;
  text: ReactNode;
}

let toasts: Toast[] = [];
let next = 0;
const listeners = new Set<() => void>();

function change(now: Toast[]): void {
  toasts = now;
  for (const listener of listeners) listener();
}

function drop(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

/** Says that something worked, or did not. */
export function say(text: ReactNode, good = true): void {
  const id = next;
  next += 1;
  change([...toasts.slice(-3), { id, good, text }]);
  if (good) setTimeout(drop, SHOWN_MS, id);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div aria-live="polite" className="pointer-events-none fixed right-4 bottom-4 z-50 flex w-88 max-w-[calc(100vw-2rem)] flex-col gap-2">
      {shown.map((toast) => {
        const Icon = toast.good ? CircleCheck : CircleAlert;
        return (
          <div key={toast.id} className="pointer-events-auto flex animate-appear items-start gap-2.5 rounded-lg bg-raised p-3 shadow-pop">
            <Icon aria-hidden className={toast.good ? "mt-0.5 size-4 text-ok" : "mt-0.5 size-4 text-bad"} />
            <div className="min-w-0 flex-1 text-sm break-words">{toast.text}</div>
            <button type="button" aria-label="Close" onClick={() => drop(toast.id)} className="rounded p-0.5 text-ink-3 hover:text-ink">
              <X aria-hidden className="size-3.5" />
            </button>
          </div>
        );
      })}
    </div>
  );
}
