import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, take } from "~/api/client";
import type { Invocation } from "~/api/types";
import { StatusMark } from "~/components/StatusMark";
import { Clock } from "~/components/Time";
import { formatDuration } from "~/lib/time";
import { Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";

/** What led to an invocation, what it led to, and what else ran in its trace. */
export function Connections({ project, view }: { project: string; view: Invocation }) {
  const emitted = useQuery({
    queryKey: [project, "invocation", view.id, "emitted"],
    queryFn: () =>
      take(
        api.GET("/api/v1/projects/{project}/events", {
          params: { path: { project }, query: { cause: view.id, limit: 100 } },
        }),
      ),
  });
  const attempts = useQuery({
    queryKey: [project, "invocation", view.id, "attempts"],
    enabled: Boolean(view.cause_event),
    queryFn: () =>
      take(
        api.GET("/api/v1/projects/{project}/invocations", {
          params: { path: { project }, query: { event: view.cause_event ?? "", limit: 100 } },
        }),
      ),
  });
  return (
    <div className="flex flex-col gap-6">
      {view.cause_event && (
        <Section
          title="Same event"
          about="Every attempt of every function that handled it"
          actions={
            <Link to="/p/$project/events/$event" params={{ project, event: view.cause_event }} className="text-xs text-accent hover:underline">
              Open the event
            </Link>
          }
        >
          <Table
            label="Attempts"
            head={[{ label: "Status" }, { label: "Function" }, { label: "Attempt", right: true }, { label: "Took", right: true }, { label: "Started", right: true }]}
          >
            {attempts.data?.items.map((row) => (
              <Row key={row.id}>
                <Cell>
                  <StatusMark status={row.status} />
                </Cell>
                <Cell className="w-full">
                  <Link
                    to="/p/$project/invocations/$invocation"
                    params={{ project, invocation: row.id }}
                    className="font-medium hover:underline"
                    {...(row.id === view.id ? { "aria-current": "page" } : {})}
                  >
                    {row.function}
                  </Link>
                  {row.id === view.id && <span className="ml-2 text-xs text-ink-3">this one</span>}
                </Cell>
                <Cell right>{row.attempt}</Cell>
                <Cell right>{formatDuration(row.duration_ns)}</Cell>
                <Cell right className="text-ink-2">
                  <Clock at={row.accepted} />
                </Cell>
              </Row>
            ))}
          </Table>
        </Section>
      )}
      <Section title="Events that it emitted">
        {emitted.data?.items.length === 0 ? (
          <p className="text-sm text-ink-3">None.</p>
        ) : (
          <Table label="Emitted events" head={[{ label: "Type" }, { label: "Subject" }, { label: "Received", right: true }]}>
            {emitted.data?.items.map((row) => (
              <Row key={row.id}>
                <Cell className="w-full">
                  <Link to="/p/$project/events/$event" params={{ project, event: row.id }} className="font-medium hover:underline">
                    {row.event.type}
                  </Link>
                </Cell>
                <Cell className="text-ink-2">{row.event.subject}</Cell>
                <Cell right className="text-ink-2">
                  <Clock at={row.received} />
                </Cell>
              </Row>
            ))}
          </Table>
        )}
      </Section>
    </div>
  );
}
