import {
  Ban,
  Check,
  CircleDashed,
  CircleX,
  Hourglass,
  LoaderCircle,
  MemoryStick,
  Moon,
  ShieldX,
  TimerOff,
  TriangleAlert,
  Zap,
  type LucideIcon,
} from "lucide-react";

import type { Status } from "~/api/types";
import { sentence } from "~/lib/format";
import { cx } from "~/ui/cx";

type Tone = "ok" | "bad" | "warn" | "run" | "mute";

const LOOKS: Record<Status, { tone: Tone; icon: LucideIcon }> = {
  unknown: { tone: "mute", icon: CircleDashed },
  succeeded: { tone: "ok", icon: Check },
  failed: { tone: "bad", icon: CircleX },
  refused: { tone: "bad", icon: Ban },
  trapped: { tone: "bad", icon: Zap },
  "timed-out": { tone: "bad", icon: TimerOff },
  "out-of-memory": { tone: "bad", icon: MemoryStick },
  cancelled: { tone: "mute", icon: Ban },
  crashed: { tone: "bad", icon: TriangleAlert },
  rejected: { tone: "warn", icon: ShieldX },
  running: { tone: "run", icon: LoaderCircle },
  suspended: { tone: "run", icon: Moon },
  queued: { tone: "mute", icon: Hourglass },
};

const INKS: Record<Tone, string> = {
  ok: "text-ok",
  bad: "text-bad",
  warn: "text-warn",
  run: "text-run",
  mute: "text-ink-3",
};

const FILLS: Record<Tone, string> = {
  ok: "bg-ok-soft text-ok",
  bad: "bg-bad-soft text-bad",
  warn: "bg-warn-soft text-warn",
  run: "bg-run-soft text-run",
  mute: "bg-pressed text-ink-2",
};

export function toneOf(status: Status): Tone {
  return LOOKS[status].tone;
}

/** How something ended: an icon, a word and a colour. Success is quiet, so that failures are seen; `short` hides the word on phones. */
export function StatusMark({ status, filled, detail, short }: { status: Status; filled?: boolean; detail?: string | undefined; short?: boolean }) {
  const { tone, icon: Icon } = LOOKS[status];
  const spins = status === "running";
  return (
    <span
      className={cx(
        "inline-flex items-center gap-1.5 whitespace-nowrap",
        filled ? cx("h-6 rounded-md px-2 text-xs font-medium", FILLS[tone]) : INKS[tone],
      )}
    >
      <Icon aria-hidden className={cx("size-3.5 shrink-0", spins && "animate-spin")} strokeWidth={2.25} />
      <span className={cx(!filled && tone === "ok" && "text-ink-2", short && "sr-only md:not-sr-only")}>{sentence(status)}</span>
      {detail && <span className={cx("nums text-ink-3", short && "hidden md:inline")}>{detail}</span>}
    </span>
  );
}

/** Something that is not an end: paused, cold, waits. */
export function Chip({ tone = "mute", children, icon: Icon }: { tone?: Tone; children: string; icon?: LucideIcon }) {
  return (
    <span className={cx("inline-flex h-5 items-center gap-1 rounded px-1.5 text-2xs font-medium whitespace-nowrap", FILLS[tone])}>
      {Icon && <Icon aria-hidden className="size-3" />}
      {children}
    </span>
  );
}

