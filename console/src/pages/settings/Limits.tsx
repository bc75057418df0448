import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { queries } from "~/api/queries";
import type { Limit } from "~/api/types";
import { ProblemLine } from "~/components/ProblemView";
import { formatBytes, formatCount } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { Input } from "~/ui/fields";
import { Cell, Row, Table } from "~/ui/table";

/** Everything has a limit, and errors name it. */
export function Limits() {
  const limits = useQuery(queries.limits());
  const [typed, setTyped] = useState("");
  const found = limits.data?.items.filter((limit) => `${limit.name} ${limit.what}`.toLowerCase().includes(typed.toLowerCase()));
  if (limits.isError) return <ProblemLine error={limits.error} />;
  return (
    <div className="flex flex-col gap-3">
      <Input aria-label="Find a limit" placeholder="Find a limit" value={typed} onChange={(event) => setTyped(event.target.value)} className="max-w-72" />
      <Table label="Limits" head={[{ label: "Name" }, { label: "Value", right: true }, { label: "What it bounds" }]}>
        {found?.map((limit) => (
          <Row key={limit.name}>
            <Cell className="font-mono text-xs whitespace-nowrap">{limit.name}</Cell>
            <Cell right>{valueOf(limit)}</Cell>
            <Cell className="w-full text-ink-2">{limit.what}</Cell>
          </Row>
        ))}
      </Table>
    </div>
  );
}

const NANOSECONDS: Record<string, number> = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, ms: 1e6, seconds: 1e9, minutes: 6e10, hours: 3.6e12, days: 8.64e13 };

function valueOf({ value, unit }: Limit): string {
  if (unit === "bytes") return formatBytes(value);
  const size = NANOSECONDS[unit];
  return size ? formatDuration(value * size) : `${formatCount(value)} ${unit}`;
}
