import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ListTree, Plus, SearchX } from "lucide-react";
import { useCallback, useMemo, useState } from "react";

import { queries } from "~/api/queries";
import type { EventRow } from "~/api/types";
import { useActions, type Action } from "~/app/actions";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { LiveLight } from "~/components/LiveLight";
import { ProblemView } from "~/components/ProblemView";
import { SearchProgress } from "~/components/SearchProgress";
import { VirtualTable } from "~/components/VirtualTable";
import { useLiveRows } from "~/hooks/useLiveRows";
import { useMay } from "~/hooks/useMay";
import { command, curl, withQuery } from "~/lib/cli";
import type { EventFilters } from "~/lib/filters";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Empty, Loading, Page } from "~/ui/layout";
import { EmitDialog } from "./EmitDialog";
import { COLUMNS, EventCells, GRID } from "./EventCells";
import { EventFilterBar } from "./EventFilterBar";

const idOf = (row: EventRow) => row.id;
/** What Nexus says about its own resources; of interest only to whoever asks for it. */
const isSystem = (row: EventRow) => row.event.type.startsWith("dev.nexus.resource.");

export function EventsPage() {
  const { project } = useParams({ from: "/p/$project/events" });
  const filters = useSearch({ from: "/p/$project/events" });
  const navigate = useNavigate({ from: "/p/$project/events" });
  const [paused, setPaused] = useState(false);
  const [reading, setReading] = useState(false);
  const [emits, setEmits] = useState(false);
  const list = useInfiniteQuery(queries.events(project, filters));
  const loaded = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const searches = Boolean(filters.text ?? filters.where);
  const client = useQueryClient();
  const reload = useCallback(() => void client.resetQueries({ queryKey: [project, "events", filters] }), [client, project, filters]);
  const live = useLiveRows({
    loaded,
    kind: "event",
    idOf,
    reading,
    reload,
    path: paused || searches || filters.until || !list.isSuccess ? undefined : streamPath(project, filters),
  });
  const showsSystem = filters.system === true || Boolean(filters.type?.startsWith("dev.nexus"));
  const rows = useMemo(() => (showsSystem ? live.rows : live.rows.filter((row) => !isSystem(row))), [live.rows, showsSystem]);
  const disabledReason = useMay()("emit");
  const emit = useMemo(
    (): Action => ({
      id: "emit",
      label: "Emit an event",
      group: "Events",
      icon: Plus,
      keys: "c",
      disabledReason,
      perform: () => setEmits(true),
    }),
    [disabledReason],
  );
  useActions(useMemo(() => [emit], [emit]));
  const setFilters = (next: EventFilters) => void navigate({ search: next, replace: true });

  return (
    <Page
      fill
      title="Events"
      about="What happened, newest first. Each is on disk before it is acknowledged."
      actions={
        <>
          {!searches && <LiveLight state={live.state} paused={paused} onToggle={() => setPaused(!paused)} />}
          <CliButton command={cliOf(project, filters)} request={curl(location.origin, listPath(project, filters))} />
          <ActionButton action={emit} look="solid" />
        </>
      }
    >
      <EventFilterBar project={project} filters={filters} onChange={setFilters} />
      {list.isPending && <Loading rows={12} />}
      {list.isError && <ProblemView error={list.error} onRetry={() => void list.refetch()} />}
      {list.isSuccess && rows.length === 0 && !list.hasNextPage && (
        <NothingYet project={project} filtered={Object.keys(filters).length > 0} onClear={() => setFilters({})} />
      )}
      {list.isSuccess && (rows.length > 0 || list.hasNextPage) && (
        <VirtualTable
          label="Events"
          columns={COLUMNS}
          grid={GRID}
          rows={rows}
          idOf={idOf}
          waiting={live.waiting}
          onShow={live.show}
          onReading={setReading}
          hasMore={list.hasNextPage}
          onMore={() => !list.isFetchingNextPage && void list.fetchNextPage()}
          footer={searches ? <SearchProgress search={list} /> : undefined}
          isFresh={(row) => live.fresh.has(row.id)}
        >
          {(row) => <EventCells row={row} project={project} />}
        </VirtualTable>
      )}
      {emits && <EmitDialog project={project} onClose={() => setEmits(false)} />}
    </Page>
  );
}

function NothingYet({ project, filtered, onClear }: { project: string; filtered: boolean; onClear: () => void }) {
  if (filtered)
    return (
      <Empty icon={SearchX} title="No event matches">
        <p>Nothing that happened fits these filters. New ones appear here by themselves.</p>
        <Button className="self-center" onClick={onClear}>
          Clear the filters
        </Button>
      </Empty>
    );
  return (
    <Empty icon={ListTree} title="Nothing happened yet">
      <p>An event says what happened; the functions that asked for its type handle it. Send one from here, or:</p>
      <Command text={command("nexus", "emit", "com.shop.order.created", ["--project", project], ["-d", '{"order":42}'])} />
    </Empty>
  );
}

function streamPath(project: string, { since: _since, until: _until, system: _system, ...rest }: EventFilters): string {
  return withQuery(`/api/v1/projects/${project}/events/stream`, rest);
}

function listPath(project: string, { system: _system, ...rest }: EventFilters): string {
  const path = `/api/v1/projects/${project}/events`;
  return withQuery(rest.text || rest.where ? `${path}/search` : path, rest);
}

function cliOf(project: string, filters: EventFilters): string {
  return command(
    "nexus",
    "events",
    ["--project", project],
    ["--type", filters.type],
    ["--source", filters.source],
    ["--subject", filters.subject],
    ["--cause", filters.cause],
    ["--text", filters.text],
    ["--where", filters.where],
    ["--since", filters.since],
    ["--until", filters.until],
  );
}
