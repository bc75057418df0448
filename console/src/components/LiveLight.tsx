import type { LiveState } from "~/api/live";
import { cx } from "~/ui/cx";

/** Whether new rows come by themselves; a button, because reading sometimes needs a world that stands still. */
export function LiveLight({ state, paused, onToggle }: { state: LiveState; paused: boolean; onToggle: () => void }) {
  const text = paused ? "Paused" : state === "live" ? "Live" : "Connecting";
  return (
    <button
      type="button"
      aria-pressed={!paused}
      title={paused ? "Follow what happens" : "Stop following"}
      onClick={onToggle}
      className="flex h-7 items-center gap-2 rounded-md px-2 text-xs text-ink-2 hover:bg-hover hover:text-ink"
    >
      <span
        aria-hidden
        className={cx(
          "size-2 rounded-full",
          paused ? "border border-ink-3" : state === "live" ? "bg-ok" : "animate-pulse bg-warn",
        )}
      />
      {text}
    </button>
  );
}
