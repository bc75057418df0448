import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { FlaskConical, Pause, Play, RotateCcw, Square, Trash2 } from "lucide-react";
import { useState } from "react";

import { replays, type Batch } from "~/api/replays";
import { CliButton } from "~/components/CliButton";
import { ProblemLine, ProblemView } from "~/components/ProblemView";
import { Chip } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { command, curl, withQuery } from "~/lib/cli";
import { formatCount } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { IconButton } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { cx } from "~/ui/cx";
import { Card, Empty, Loading, Page, Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";

const ASK_MS = 1_000;
const BAD = new Set(["different", "diverged"]);
const TONES: Record<string, "ok" | "bad" | "warn"> = { different: "bad", diverged: "bad", "cannot-tell": "warn" };

export function ReplaysPage() {
  const { project } = useParams({ from: "/p/$project/replays" });
  const { id } = useSearch({ from: "/p/$project/replays" });
  const batches = useQuery({ queryKey: [project, "replays"], queryFn: () => replays.list(project), refetchInterval: ASK_MS });
  const chosen = batches.data?.items.find((it) => it.id === id) ?? batches.data?.items[0];
  return (
    <Page
      title="Replays"
      about="Recordings that run again, many at once: against new code before it goes live, or as a proof that nothing changed."
      actions={
        <CliButton command={command("nexus", "replay", "--help")} request={curl(location.origin, `/api/v1/projects/${project}/replays`)} />
      }
    >
      {batches.isPending && <Loading />}
      {batches.isError && <ProblemView error={batches.error} onRetry={() => void batches.refetch()} />}
      {batches.data?.items.length === 0 && (
        <Empty icon={RotateCcw} title="No batch of replays yet">
          <p>
            Choose a version on the page of a function, and replay what was recorded against it. On the command line the same is one
            line:
          </p>
          <Command text={command("nexus", "replay", "--function", "orders", "--against", "latest", ["--project", project])} />
        </Empty>
      )}
      {chosen && <OneBatch key={chosen.id} project={project} batch={chosen} />}
      {batches.data && batches.data.items.length > 1 && <Others project={project} batches={batches.data.items} chosen={chosen} />}
      <Suites project={project} />
    </Page>
  );
}

function OneBatch({ project, batch }: { project: string; batch: Batch }) {
  const client = useQueryClient();
  const [verdict, setVerdict] = useState<string>();
  const runs = batch.state === "running";
  const rows = useQuery({
    queryKey: [project, "replays", batch.id, "rows", verdict, batch.done],
    placeholderData: (before) => before,
    queryFn: () => replays.rows(project, batch.id, withQuery("", { verdict, limit: 100 })),
  });
  const order = useMutation({
    mutationFn: (what: "pause" | "resume" | "cancel") => replays.order(project, batch.id, what),
    onSettled: () => client.invalidateQueries({ queryKey: [project, "replays"] }),
  });
  const total = Math.max(batch.selected, 1);
  return (
    <Card className="flex flex-col gap-4 p-5">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h2 className="text-base font-semibold">{titleOf(batch)}</h2>
        <Chip tone={batch.state === "done" ? "ok" : runs ? "run" : "warn"}>{batch.state}</Chip>
        <span className="text-xs text-ink-3">
          <Ago at={batch.created} />
          {batch.times_real_time > 0 && `, ${batch.times_real_time.toFixed(1)} times as fast as it was`}
        </span>
        <span className="ml-auto flex">
          {runs && <IconButton label="Pause" icon={Pause} onClick={() => order.mutate("pause")} />}
          {batch.state === "paused" && <IconButton label="Go on" icon={Play} onClick={() => order.mutate("resume")} />}
          {(runs || batch.state === "paused") && <IconButton label="End it" icon={Square} onClick={() => order.mutate("cancel")} />}
        </span>
      </header>
      {batch.reason && <p className="text-sm text-bad">{batch.reason}</p>}
      <div
        role="progressbar"
        aria-label="Replayed"
        aria-valuemin={0}
        aria-valuemax={batch.selected}
        aria-valuenow={batch.done}
        className="flex h-2 overflow-hidden rounded-full bg-pressed"
      >
        {Object.entries(batch.verdicts).map(([name, count]) => (
          <span key={name} className={BAD.has(name) ? "bg-bad" : name === "cannot-tell" ? "bg-warn" : "bg-ok"} style={{ width: `${(count / total) * 100}%` }} />
        ))}
      </div>
      <div className="flex flex-wrap gap-2">
        <Filter label={`All ${formatCount(batch.done)}${batch.done < batch.selected || batch.selecting ? ` of ${formatCount(batch.selected)}` : ""}`} on={!verdict} onClick={() => setVerdict(undefined)} />
        {Object.entries(batch.verdicts)
          .filter(([, count]) => count > 0)
          .map(([name, count]) => (
            <Filter key={name} label={`${name} ${formatCount(count)}`} bad={BAD.has(name)} on={verdict === name} onClick={() => setVerdict(name)} />
          ))}
      </div>
      {rows.isError && <ProblemLine error={rows.error} />}
      {rows.data && rows.data.items.length > 0 && (
        <Table label="Results" head={[{ label: "Verdict" }, { label: "Function" }, { label: "What was found" }, { label: "Took", right: true }, { label: "Then", right: true }]}>
          {rows.data.items.map((row) => (
            <Row key={row.invocation} className="relative">
              <Cell>
                <Chip tone={TONES[row.verdict] ?? "ok"}>{row.verdict}</Chip>
              </Cell>
              <Cell className="font-medium">
                <Link to="/p/$project/invocations/$invocation" params={{ project, invocation: row.invocation }} className="after:absolute after:inset-0">
                  {row.function}
                </Link>
              </Cell>
              <Cell className="w-full max-w-0 truncate text-ink-2">{row.summary}</Cell>
              <Cell right>{formatDuration(row.took_ns)}</Cell>
              <Cell right className="text-ink-2">
                {formatDuration(row.original_ns)}
              </Cell>
            </Row>
          ))}
        </Table>
      )}
    </Card>
  );
}

function titleOf({ request: { select, against } }: Batch): string {
  const what = select?.suite ? `Suite ${select.suite}` : (select?.function ?? "Recordings");
  return against ? `${what} against ${/^\d+$/.test(against) ? `v${against}` : against}` : `${what}, as recorded`;
}

function Filter({ label, on, bad, onClick }: { label: string; on: boolean; bad?: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      aria-pressed={on}
      onClick={onClick}
      className={cx("nums h-7 rounded-md border px-2.5 text-xs", on ? "border-accent-line bg-accent-soft font-medium" : "border-line hover:bg-hover", bad && "text-bad")}
    >
      {label}
    </button>
  );
}

function Others({ project, batches, chosen }: { project: string; batches: Batch[]; chosen: Batch | undefined }) {
  const navigate = useNavigate();
  return (
    <Section title="Batches">
      <Table label="Batches" head={[{ label: "What" }, { label: "State" }, { label: "Replayed", right: true }, { label: "Differ", right: true }, { label: "Began", right: true }]}>
        {batches.map((batch) => {
          const differ = Object.entries(batch.verdicts).reduce((sum, [name, count]) => sum + (BAD.has(name) ? count : 0), 0);
          return (
            <Row key={batch.id} className={cx("cursor-pointer", batch === chosen && "bg-pressed")} onClick={() => void navigate({ to: "/p/$project/replays", params: { project }, search: { id: batch.id } })}>
              <Cell className="w-full font-medium">
                <Link to="/p/$project/replays" params={{ project }} search={{ id: batch.id }}>
                  {titleOf(batch)}
                </Link>
              </Cell>
              <Cell className="text-ink-2">{batch.state}</Cell>
              <Cell right>{formatCount(batch.done)}</Cell>
              <Cell right className={differ ? "text-bad" : "text-ink-3"}>
                {formatCount(differ)}
              </Cell>
              <Cell right className="text-ink-2">
                <Ago at={batch.created} />
              </Cell>
            </Row>
          );
        })}
      </Table>
    </Section>
  );
}

/** Recordings that are kept as tests. */
function Suites({ project }: { project: string }) {
  const client = useQueryClient();
  const suites = useQuery({ queryKey: [project, "suites"], queryFn: () => replays.suites(project) });
  const changed = () => client.invalidateQueries({ queryKey: [project] });
  const run = useMutation({ mutationFn: (suite: string) => replays.start(project, { select: { suite }, against: "latest" }), onSuccess: changed });
  const remove = useMutation({ mutationFn: (suite: string) => replays.deleteSuite(project, suite), onSuccess: changed });
  if (!suites.data?.items.length) return null;
  return (
    <Section title="Suites" about="Recordings that are kept as tests">
      <Table label="Suites" head={[{ label: "Suite" }, { label: "Functions" }, { label: "Cases", right: true }, { label: "Changed", right: true }, { label: "Actions", hidden: true }]}>
        {suites.data.items.map((suite) => (
          <Row key={suite.name}>
            <Cell className="font-medium">{suite.name}</Cell>
            <Cell className="w-full text-ink-2">{suite.functions.join(", ")}</Cell>
            <Cell right>{formatCount(suite.cases.length)}</Cell>
            <Cell right className="text-ink-2">
              <Ago at={suite.updated} />
            </Cell>
            <Cell right>
              <span className="flex justify-end">
                <IconButton label={`Run ${suite.name} against the latest version`} icon={FlaskConical} onClick={() => run.mutate(suite.name)} />
                <IconButton label={`Delete ${suite.name}`} icon={Trash2} onClick={() => remove.mutate(suite.name)} />
              </span>
            </Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}
