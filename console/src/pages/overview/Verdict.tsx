import { CircleAlert, CircleCheck, Moon, TriangleAlert } from "lucide-react";

import type { Stats } from "~/api/types";
import { verdictOf } from "~/lib/verdict";
import { cx } from "~/ui/cx";

const LOOKS = {
  ok: { icon: CircleCheck, ink: "text-ok" },
  warn: { icon: TriangleAlert, ink: "text-warn" },
  bad: { icon: CircleAlert, ink: "text-bad" },
  mute: { icon: Moon, ink: "text-ink-3" },
} as const;

export function Verdict({ stats }: { stats: Stats }) {
  const { tone, headline, detail } = verdictOf(stats);
  const { icon: Icon, ink } = LOOKS[tone];
  return (
    <span className="flex items-start gap-3">
      <Icon aria-hidden className={cx("mt-0.5 size-5.5", ink)} strokeWidth={1.9} />
      <span className="min-w-0">
        {headline}
        <span className="mt-0.5 block text-sm font-normal tracking-normal whitespace-normal text-ink-2">{detail}</span>
      </span>
    </span>
  );
}
