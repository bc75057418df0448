import type { Invocation } from "~/api/types";
import { formatDuration } from "~/lib/time";
import { Cell, Row, Table } from "~/ui/table";

/** Entries that are shown at once: a journal may have a hundred thousand. */
const SHOWN_MAX = 1_000;

export function Journal({ view }: { view: Invocation }) {
  if (view.journal_problem) return <p role="alert" className="text-sm text-bad">{view.journal_problem}</p>;
  if (view.journal.length === 0)
    return (
      <p className="text-sm text-ink-3">
        {view.meter.host_calls ? "The journal is not shown here." : "The function asked for nothing from outside."}
      </p>
    );
  return (
    <div className="flex flex-col gap-2">
      <Table
        label="Journal"
        head={[
          { label: "#", right: true },
          { label: "Operation" },
          { label: "Arguments and result" },
          { label: "At", right: true },
          { label: "Waited", right: true },
        ]}
      >
        {view.journal.slice(0, SHOWN_MAX).map((entry) => (
          <Row key={entry.operation}>
            <Cell right className="w-10 text-ink-3">
              {entry.operation}
            </Cell>
            <Cell className="font-mono text-xs whitespace-nowrap">{entry.function}</Cell>
            <Cell className="w-full max-w-0 truncate font-mono text-xs text-ink-2" title={entry.summary}>
              {entry.summary}
            </Cell>
            <Cell right className="text-xs text-ink-3">
              {entry.at_ns ? formatDuration(entry.at_ns) : ""}
            </Cell>
            <Cell right className="text-xs">
              {entry.duration_ns ? formatDuration(entry.duration_ns) : ""}
            </Cell>
          </Row>
        ))}
      </Table>
      {view.journal.length > SHOWN_MAX && (
        <p className="text-xs text-ink-3">
          The first {SHOWN_MAX} of {view.journal.length}. The command line shows all of them.
        </p>
      )}
    </div>
  );
}
