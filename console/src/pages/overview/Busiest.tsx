import { Link } from "@tanstack/react-router";

import type { Stats } from "~/api/types";
import { formatCount, formatRate, formatShare } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { cx } from "~/ui/cx";
import { Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";

const SHOWN = 8;

export function Busiest({ project, stats, seconds }: { project: string; stats: Stats; seconds: number }) {
  const most = Math.max(...stats.functions.map((it) => it.invocations), 1);
  return (
    <Section title="Functions" about="The busiest first">
      <Table
        label="Functions"
        head={[
          { label: "Function" },
          { label: "Invocations", right: true },
          { label: "Rate", right: true },
          { label: "Failed", right: true },
          { label: "Median", right: true },
          { label: "95 %", right: true },
        ]}
      >
        {stats.functions.slice(0, SHOWN).map((it) => (
          <Row key={it.function}>
            <Cell className="w-full max-w-0">
              <Link to="/p/$project/functions/$function" params={{ project, function: it.function }} className="font-medium hover:underline">
                {it.function}
              </Link>
              <span aria-hidden className="mt-1 block h-0.5 rounded-full bg-bar-guest" style={{ width: `${(it.invocations / most) * 100}%` }} />
            </Cell>
            <Cell right>{formatCount(it.invocations)}</Cell>
            <Cell right className="text-ink-2">
              {formatRate(it.invocations / seconds)}
            </Cell>
            <Cell right className={cx(it.failed > 0 ? "text-bad" : "text-ink-3")}>
              {formatShare(it.failed / Math.max(it.invocations, 1))}
            </Cell>
            <Cell right className="text-ink-2">
              {it.p50_ns ? formatDuration(it.p50_ns) : ""}
            </Cell>
            <Cell right className="text-ink-2">
              {it.p95_ns ? formatDuration(it.p95_ns) : ""}
            </Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}
