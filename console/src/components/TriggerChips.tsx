import { CalendarClock, Globe, Webhook, Zap, type LucideIcon } from "lucide-react";

import type { FunctionView } from "~/api/types";

/** What calls a function, in short. */
export function TriggerChips({ triggers }: { triggers: FunctionView["on"] }) {
  const chips: [LucideIcon, string][] = [
    ...(triggers.http ?? []).map((it): [LucideIcon, string] => [Globe, it.path]),
    ...(triggers.events ?? []).map((it): [LucideIcon, string] => [Zap, it.type ?? "any event"]),
    ...(triggers.cron ?? []).map((it): [LucideIcon, string] => [CalendarClock, it.schedule]),
    ...(triggers.webhooks ?? []).map((it): [LucideIcon, string] => [Webhook, it.path]),
  ];
  if (chips.length === 0) return <span className="text-xs text-ink-3">direct calls</span>;
  return (
    <span className="flex flex-col gap-0.5 text-xs text-ink-2">
      {chips.map(([Icon, text], index) => (
        <span key={`${text}-${index}`} className="flex items-center gap-1.5 whitespace-nowrap">
          <Icon aria-hidden className="size-3.5 text-ink-3" />
          <span className="font-mono text-2xs">{text}</span>
        </span>
      ))}
    </span>
  );
}
