import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleMinus, CirclePlus, RefreshCw } from "lucide-react";

import { queries } from "~/api/queries";
import type { Change } from "~/api/types";
import { Ago } from "~/components/Time";
import { Card, Section } from "~/ui/layout";
import { senderOf } from "../events/EventCells";

const LOOKS = {
  created: { icon: CirclePlus, ink: "text-ok" },
  updated: { icon: RefreshCw, ink: "text-ink-3" },
  deleted: { icon: CircleMinus, ink: "text-bad" },
} as const;

/** What was deployed and changed lately: the first suspects when something fails. */
export function Changes({ project }: { project: string }) {
  const changes = useQuery(queries.changes(project, 12));
  const items = changes.data?.items.filter((change) => change.kind !== "Version" || change.action !== "updated") ?? [];
  return (
    <Section title="What changed lately">
      <Card>
        {items.length === 0 && <p className="px-4 py-6 text-center text-sm text-ink-3">Nothing was changed.</p>}
        <ol>
          {items.slice(0, 8).map((change) => (
            <Line key={change.event} project={project} change={change} />
          ))}
        </ol>
      </Card>
    </Section>
  );
}

function Line({ project, change }: { project: string; change: Change }) {
  const { icon: Icon, ink } = LOOKS[change.action as keyof typeof LOOKS] ?? LOOKS.updated;
  return (
    <li className="flex items-center gap-2.5 border-b border-line px-3 py-2 text-sm last:border-b-0">
      <Icon aria-hidden className={`size-3.5 shrink-0 ${ink}`} />
      <span className="min-w-0 flex-1 truncate">
        <span className="text-ink-3">{change.kind}</span>{" "}
        <Link to="/p/$project/events/$event" params={{ project, event: change.event }} className="font-medium hover:underline">
          {change.name}
        </Link>{" "}
        <span className="text-ink-3">
          {change.action} by {senderOf(change.principal)}
        </span>
      </span>
      <span className="text-xs text-ink-3">
        <Ago at={change.at} />
      </span>
    </li>
  );
}
