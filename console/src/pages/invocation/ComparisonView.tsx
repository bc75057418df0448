import { CircleCheck, CircleHelp, GitCompareArrows } from "lucide-react";

import type { Comparison, Cost, DifferenceView, VersionRef } from "~/api/replays";
import { DiffView } from "~/components/DiffView";
import type { Json } from "~/lib/diff";
import { formatBytes, formatCount } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { nameOf } from "~/lib/waterfall";
import { cx } from "~/ui/cx";
import { Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";

const LOOKS = {
  identical: { icon: CircleCheck, box: "bg-ok-soft", ink: "text-ok", text: "The same" },
  equivalent: { icon: CircleCheck, box: "bg-ok-soft", ink: "text-ok", text: "The same, but for what does not matter" },
  different: { icon: GitCompareArrows, box: "bg-bad-soft", ink: "text-bad", text: "Different" },
  "cannot-tell": { icon: CircleHelp, box: "bg-warn-soft", ink: "text-warn", text: "It cannot be told" },
} as const;

/** What another version would have done, beside what was done. */
export function ComparisonView({ comparison, recorded }: { comparison: Comparison; recorded: unknown }) {
  const { icon: Icon, box, ink, text } = LOOKS[comparison.verdict];
  return (
    <section aria-label="Comparison" aria-live="polite" className="flex animate-appear flex-col gap-5">
      <header className={cx("flex items-start gap-3 rounded-lg px-4 py-3", box)}>
        <Icon aria-hidden className={cx("mt-0.5 size-4 shrink-0", ink)} />
        <div className="min-w-0">
          <h3 className="text-sm font-semibold">{text}</h3>
          <p className="text-xs text-ink-2">{comparison.summary}</p>
        </div>
      </header>
      {comparison.changes.length > 0 && (
        <Section title="Differences" about={comparison.changes_omitted ? `${formatCount(comparison.changes_omitted)} more are left out` : undefined}>
          <Differences changes={comparison.changes} />
        </Section>
      )}
      {comparison.effects.length > 0 && (
        <Section title="Effects" about="what it would have done in the world">
          <ul className="rounded-lg border border-line text-xs">
            {comparison.effects.map((effect, index) => (
              <li key={index} className={cx("border-b border-line px-3 py-2 last:border-b-0", effect.ignored ? "opacity-60" : "")}>
                <p>
                  <span className={effect.kind === "removed" ? "text-bad" : "text-warn"}>{effect.kind}</span>{" "}
                  <span className="font-mono">{nameOf(effect.function)}</span> <span className="font-mono text-ink-3">{effect.target}</span>
                  {effect.ignored && <span className="text-ink-3"> does not matter: {effect.ignored}</span>}
                </p>
                {effect.changes.length > 0 && <Differences changes={effect.changes} />}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title="Output">
        <DiffView before={recorded as Json} after={comparison.output} names={[`Recorded output, ${nameOfVersion(comparison.recorded)}`, `Output of ${nameOfVersion(comparison.against)}`]} />
      </Section>
      <Section title="Cost">
        <Costs comparison={comparison} />
      </Section>
    </section>
  );
}

function nameOfVersion({ number, label }: VersionRef): string {
  return label ? `v${number} (${label})` : `v${number}`;
}

function Differences({ changes }: { changes: DifferenceView[] }) {
  return (
    <ul className="mt-1 overflow-x-auto rounded-lg border border-line font-mono text-xs">
      {changes.map((change, index) => (
        <li key={index} className={cx("border-b border-line px-3 py-1.5 last:border-b-0", change.ignored ? "opacity-60" : "")}>
          <div className="text-ink-3">
            {change.part} {change.path}
            {change.ignored ? ` (does not matter: ${change.ignored})` : ""}
          </div>
          {change.before !== undefined && <div className="break-words text-bad">− {JSON.stringify(change.before)}</div>}
          {change.after !== undefined && <div className="break-words text-ok">+ {JSON.stringify(change.after)}</div>}
        </li>
      ))}
    </ul>
  );
}

function Costs({ comparison }: { comparison: Comparison }) {
  const { recorded_cost: then, against_cost: now } = comparison;
  const rows: [string, (cost: Cost) => string][] = [
    ["Run", (cost) => formatDuration(cost.guest_ns)],
    ["Memory", (cost) => formatBytes(cost.memory_peak_bytes)],
    ["Host calls", (cost) => formatCount(cost.host_calls)],
  ];
  return (
    <Table label="Cost" head={[{ label: "What" }, { label: nameOfVersion(comparison.recorded), right: true }, { label: nameOfVersion(comparison.against), right: true }]}>
      {rows.map(([name, show]) => (
        <Row key={name}>
          <Cell className="w-full">{name}</Cell>
          <Cell right>{show(then)}</Cell>
          <Cell right>{show(now)}</Cell>
        </Row>
      ))}
    </Table>
  );
}
