import { Link } from "@tanstack/react-router";

import type { EventRow } from "~/api/types";
import { Clock } from "~/components/Time";
import { ROW_LINK, type Column } from "~/components/VirtualTable";
import { formatBytes, shortId } from "~/lib/format";

export const COLUMNS: readonly Column[] = [
  { label: "Type" },
  { label: "Subject", wide: true },
  { label: "Source", wide: true },
  { label: "Sent by", wide: true },
  { label: "Data", right: true },
  { label: "Received", right: true },
  { label: "Id", right: true, wide: true },
];

export const GRID =
  "grid-cols-[minmax(0,1fr)_4rem_auto] md:grid-cols-[minmax(12rem,1.6fr)_minmax(5rem,0.8fr)_minmax(8rem,1fr)_minmax(6rem,0.8fr)_4.5rem_8.5rem_5rem]";

export function EventCells({ row, project }: { row: EventRow; project: string }) {
  return (
    <>
      <span role="cell" className="truncate font-medium">
        <Link to="/p/$project/events/$event" params={{ project, event: row.id }} data-row-link className={ROW_LINK}>
          {row.event.type}
        </Link>
      </span>
      <span role="cell" className="hidden truncate text-ink-2 md:block">
        {row.event.subject}
      </span>
      <span role="cell" className="hidden truncate text-ink-2 md:block">
        {row.event.source}
      </span>
      <span role="cell" className="hidden truncate text-ink-2 md:block">
        {senderOf(row.principal)}
      </span>
      <span role="cell" className="nums text-right whitespace-nowrap text-ink-2">
        {formatBytes(row.data_bytes)}
      </span>
      <span role="cell" className="truncate text-right text-ink-2">
        <Clock at={row.received} />
      </span>
      <span role="cell" className="hidden truncate text-right font-mono text-2xs text-ink-3 md:block">
        {shortId(row.id).slice(4)}
      </span>
    </>
  );
}

/** `function:shop/orders` → `orders`, `token:local` → `token local` */
export function senderOf(principal: string): string {
  const [kind, name = ""] = principal.split(":");
  if (kind === "function") return name.slice(name.indexOf("/") + 1);
  return name ? `${kind} ${name}` : principal;
}
