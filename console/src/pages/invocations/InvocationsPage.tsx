import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Activity, SearchX } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";

import { queries } from "~/api/queries";
import type { InvocationRow } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { LiveLight } from "~/components/LiveLight";
import { ProblemView } from "~/components/ProblemView";
import { SearchProgress } from "~/components/SearchProgress";
import { VirtualTable } from "~/components/VirtualTable";
import { useLiveRows } from "~/hooks/useLiveRows";
import { command, curl, withQuery } from "~/lib/cli";
import type { InvocationFilters } from "~/lib/filters";
import { plural } from "~/lib/format";
import { rememberOrder } from "~/lib/listOrder";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Empty, Loading, Page } from "~/ui/layout";
import { COLUMNS, GRID, InvocationCells } from "./InvocationCells";
import { InvocationFilterBar } from "./InvocationFilterBar";

const idOf = (row: InvocationRow) => row.id;

export function InvocationsPage() {
  const { project } = useParams({ from: "/p/$project/invocations" });
  const filters = useSearch({ from: "/p/$project/invocations" });
  const navigate = useNavigate({ from: "/p/$project/invocations" });
  const [paused, setPaused] = useState(false);
  const [reading, setReading] = useState(false);
  const list = useInfiniteQuery(queries.invocations(project, filters));
  const loaded = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const searches = Boolean(filters.text ?? filters.where);
  const count = useQuery({ ...queries.invocationCount(project, filters), enabled: !searches, refetchInterval: 10_000 });
  const client = useQueryClient();
  const reload = useCallback(() => void client.resetQueries({ queryKey: [project, "invocations", filters] }), [client, project, filters]);
  const live = useLiveRows({
    loaded,
    kind: "invocation",
    idOf,
    reading,
    reload,
    path: paused || searches || filters.until || !list.isSuccess ? undefined : streamPath(project, filters),
  });
  useEffect(() => rememberOrder(live.rows.map(idOf)), [live.rows]);
  const setFilters = (next: InvocationFilters) => void navigate({ search: next, replace: true });

  return (
    <Page
      fill
      title="Invocations"
      about={count.data && !searches ? `${plural(count.data.count, "invocation")}, newest first, as they end` : "Newest first"}
      actions={
        <>
          {!searches && <LiveLight state={live.state} paused={paused} onToggle={() => setPaused(!paused)} />}
          <CliButton command={cliOf(project, filters)} request={curl(location.origin, listPath(project, filters))} />
        </>
      }
    >
      <InvocationFilterBar project={project} filters={filters} onChange={setFilters} />
      {list.isPending && <Loading rows={12} />}
      {list.isError && <ProblemView error={list.error} onRetry={() => void list.refetch()} />}
      {list.isSuccess && live.rows.length === 0 && list.hasNextPage && <SearchProgress search={list} />}
      {list.isSuccess && live.rows.length === 0 && !list.hasNextPage && (
        <NothingYet project={project} filters={filters} onClear={() => setFilters({})} />
      )}
      {list.isSuccess && live.rows.length > 0 && (
        <VirtualTable
          label="Invocations"
          columns={COLUMNS}
          grid={GRID}
          rows={live.rows}
          idOf={idOf}
          waiting={live.waiting}
          onShow={live.show}
          onReading={setReading}
          hasMore={list.hasNextPage}
          onMore={() => !list.isFetchingNextPage && void list.fetchNextPage()}
          footer={searches ? <SearchProgress search={list} /> : undefined}
          isFresh={(row) => live.fresh.has(row.id)}
        >
          {(row) => <InvocationCells row={row} project={project} />}
        </VirtualTable>
      )}
    </Page>
  );
}

function NothingYet({ project, filters, onClear }: { project: string; filters: InvocationFilters; onClear: () => void }) {
  if (Object.keys(filters).length > 0)
    return (
      <Empty icon={SearchX} title="No invocation matches">
        <p>Nothing that ran fits these filters. New ones appear here by themselves.</p>
        <Button className="self-center" onClick={onClear}>
          Clear the filters
        </Button>
      </Empty>
    );
  return (
    <Empty icon={Activity} title="Nothing ran yet">
      <p>Call a function, and the call is here a moment later, with everything that happened in it.</p>
      <Command text={command("nexus", "invoke", "hello", ["--project", project], ["-d", '{"name":"Ada"}'])} />
    </Empty>
  );
}

function streamPath(project: string, filters: InvocationFilters): string {
  const { since: _since, until: _until, ...rest } = filters;
  return withQuery(`/api/v1/projects/${project}/invocations/stream`, rest);
}

function listPath(project: string, filters: InvocationFilters): string {
  const path = `/api/v1/projects/${project}/invocations`;
  return withQuery(filters.text || filters.where ? `${path}/search` : path, { ...filters });
}

function cliOf(project: string, filters: InvocationFilters): string {
  return command(
    "nexus",
    "invocations",
    ["--project", project],
    ["--function", filters.function],
    ["--version", filters.version],
    ["--status", filters.status],
    ["--trigger", filters.trigger],
    ["--min-duration", filters.min_duration],
    ["--max-duration", filters.max_duration],
    filters.cold !== undefined && `--cold=${filters.cold}`,
    ["--trace", filters.trace],
    ["--event", filters.event],
    ["--text", filters.text],
    ["--where", filters.where],
    ["--since", filters.since],
    ["--until", filters.until],
  );
}
