import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Boxes, Upload } from "lucide-react";
import { useMemo, useState, type DragEvent } from "react";

import { queries } from "~/api/queries";
import type { FunctionView, Totals } from "~/api/types";
import { useActions, type Action } from "~/app/actions";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { ProblemView } from "~/components/ProblemView";
import { Ago } from "~/components/Time";
import { TriggerChips } from "~/components/TriggerChips";
import { command, curl } from "~/lib/cli";
import { formatBytes, formatCount, formatShare, plural } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { Command } from "~/ui/Copy";
import { cx } from "~/ui/cx";
import { Empty, Loading, Page } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { DeployDialog } from "./DeployDialog";

export function FunctionsPage() {
  const { project } = useParams({ from: "/p/$project/functions" });
  const functions = useQuery(queries.functions(project));
  const stats = useQuery(queries.stats(project, { since: "1h", buckets: 60 }));
  const [deploys, setDeploys] = useState<{ file?: File }>();
  const deploy = useMemo(
    (): Action => ({ id: "deploy", label: "Deploy a component", group: "Functions", icon: Upload, keys: "c", words: "upload wasm new", perform: () => setDeploys({}) }),
    [],
  );
  useActions(useMemo(() => [deploy], [deploy]));
  const totals = new Map(stats.data?.functions.map((it) => [it.function, it]));

  return (
    <DropZone onFile={(file) => setDeploys({ file })}>
      <Page
        title="Functions"
        about={functions.data ? plural(functions.data.items.length, "function") : " "}
        actions={
          <>
            <CliButton
              command={command("nexus", "functions", ["--project", project])}
              request={curl(location.origin, `/api/v1/projects/${project}/functions`)}
            />
            <ActionButton action={deploy} look="solid" />
          </>
        }
      >
        {functions.isPending && <Loading />}
        {functions.isError && <ProblemView error={functions.error} onRetry={() => void functions.refetch()} />}
        {functions.data?.items.length === 0 && <NoFunctions project={project} />}
        {functions.data && functions.data.items.length > 0 && (
          <Table
            label="Functions"
            head={[
              { label: "Function" },
              { label: "Called by" },
              { label: "Version" },
              { label: "Size", right: true },
              { label: "Last hour", right: true },
              { label: "Failed", right: true },
              { label: "95 %", right: true },
              { label: "Updated", right: true },
            ]}
          >
            {functions.data.items.map((it) => (
              <FunctionRow key={it.name} view={it} totals={totals.get(it.name)} />
            ))}
          </Table>
        )}
      </Page>
      {deploys && <DeployDialog project={project} {...deploys} onClose={() => setDeploys(undefined)} />}
    </DropZone>
  );
}

function FunctionRow({ view, totals }: { view: FunctionView; totals: Totals | undefined }) {
  return (
    <Row className="relative">
      <Cell className="w-full max-w-0 min-w-44 py-2">
        <Link
          to="/p/$project/functions/$function"
          params={{ project: view.project, function: view.name }}
          className="font-medium after:absolute after:inset-0"
        >
          {view.name}
        </Link>
        {view.description && <div className="truncate text-xs text-ink-3">{view.description}</div>}
      </Cell>
      <Cell>
        <TriggerChips triggers={view.on} />
      </Cell>
      <Cell className="text-ink-2">
        {view.version ? `v${view.version.number}` : "none"} <span className="text-ink-3">{view.version?.language}</span>
      </Cell>
      <Cell right className="text-ink-2">
        {view.version ? formatBytes(view.version.component_bytes) : ""}
      </Cell>
      <Cell right>{formatCount(totals?.invocations ?? 0)}</Cell>
      <Cell right className={cx(totals?.failed ? "text-bad" : "text-ink-3")}>
        {totals?.invocations ? formatShare(totals.failed / totals.invocations) : ""}
      </Cell>
      <Cell right className="text-ink-2">
        {totals?.p95_ns ? formatDuration(totals.p95_ns) : ""}
      </Cell>
      <Cell right className="text-ink-2">
        <Ago at={view.updated} />
      </Cell>
    </Row>
  );
}

function NoFunctions({ project }: { project: string }) {
  return (
    <Empty icon={Boxes} title="No function yet">
      <p>
        Drop a WebAssembly component here, or deploy a folder. Any component of WASI 0.2 will do; what it exports decides how it
        is called.
      </p>
      <Command text={command("nexus", "deploy", "--component", "hello.wasm", "--name", "hello", "--path", "/hello", ["--project", project])} />
    </Empty>
  );
}

/** A page onto which a component may be dropped. */
function DropZone({ onFile, children }: { onFile: (file: File) => void; children: React.ReactNode }) {
  const [over, setOver] = useState(false);
  const isFile = (event: DragEvent) => event.dataTransfer.types.includes("Files");
  return (
    <div
      className="relative min-h-full"
      onDragOver={(event) => {
        if (!isFile(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => event.currentTarget === event.target && setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const [file] = event.dataTransfer.files;
        if (file) onFile(file);
      }}
    >
      {children}
      {over && (
        <div className="pointer-events-none absolute inset-3 flex items-center justify-center rounded-xl border-2 border-dashed border-accent bg-accent-soft">
          <p className="rounded-lg bg-raised px-4 py-2 text-base font-medium shadow-pop">Drop the component to deploy it</p>
        </div>
      )}
    </div>
  );
}
