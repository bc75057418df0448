import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, take } from "~/api/client";
import { StatusMark } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { FAILURES } from "~/lib/filters";
import { boundOf, formatDuration } from "~/lib/time";
import { Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";

export function LatestFailures({ project, range }: { project: string; range: string }) {
  const status = FAILURES.join(",");
  const failures = useQuery({
    queryKey: [project, "latest-failures", range],
    refetchInterval: 5_000,
    queryFn: () => {
      const since = boundOf(range, new Date());
      const query = { status, limit: 6, ...(since ? { since } : {}) };
      return take(api.GET("/api/v1/projects/{project}/invocations", { params: { path: { project }, query } }));
    },
  });
  if (!failures.data?.items.length) return null;
  return (
    <Section
      title="Latest failures"
      actions={
        <Link to="/p/$project/invocations" params={{ project }} search={{ since: range, status }} className="text-xs text-accent hover:underline">
          All of them
        </Link>
      }
    >
      <Table label="Latest failures" head={[{ label: "Status" }, { label: "Function" }, { label: "Attempt", right: true }, { label: "Took", right: true }, { label: "When", right: true }]}>
        {failures.data.items.map((row) => (
          <Row key={row.id} className="relative">
            <Cell>
              <StatusMark status={row.status} />
            </Cell>
            <Cell className="w-full font-medium">
              <Link
                to="/p/$project/invocations/$invocation"
                params={{ project, invocation: row.id }}
                className="after:absolute after:inset-0"
              >
                {row.function}
              </Link>
            </Cell>
            <Cell right className="text-ink-2">
              {row.attempt}
            </Cell>
            <Cell right>{formatDuration(row.duration_ns)}</Cell>
            <Cell right className="text-ink-2">
              <Ago at={row.accepted} />
            </Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}
