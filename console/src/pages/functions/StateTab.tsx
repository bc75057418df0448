import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Database, Plus, SearchX, Trash2 } from "lucide-react";
import { useMemo, useRef, useState } from "react";

import { askAgain, changeState, state, type Space, type StateKey, type StateNamespace, type StateStream } from "~/api/state";
import { useActions, type Action } from "~/app/actions";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { SearchBox } from "~/components/SearchBox";
import { ROW_LINK } from "~/components/VirtualTable";
import { useMay } from "~/hooks/useMay";
import { command, curl, withQuery } from "~/lib/cli";
import type { FunctionSearch } from "~/lib/filters";
import { formatBytes, formatCount, plural } from "~/lib/format";
import { previewOf, shownName } from "~/lib/state";
import { Button, IconButton } from "~/ui/Button";
import { Select } from "~/ui/fields";
import { Empty, Loading } from "~/ui/layout";
import { Segmented } from "~/ui/Tabs";
import { Cell, Row, Table } from "~/ui/table";
import { say } from "~/ui/toasts";
import { NewKey, OneKey } from "./StateKey";
import { Steps } from "./StateSteps";
import { OneStream } from "./StateStream";

const ROUTE = "/p/$project/functions/$function";

/** What a function remembers, and what it shares with the others of the project. */
export function StateTab({ project, name }: { project: string; name: string }) {
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const may = useMay();
  const [opened, setOpened] = useState<"new" | "clear">();
  const { shared, left, prefix = "", streams = false, key, stream } = search;
  const space = useMemo((): Space => (shared === undefined ? { function: left ?? name } : { shared }), [name, shared, left]);
  const spaces = useQuery(state.spaces(project));
  const found = spaces.data?.items.find((it) => isOf(it, space));
  const go = ({ prefix: begins, streams: streamed, ...rest }: FunctionSearch, replace = true) =>
    void navigate({ search: { tab: "state", ...rest, ...(begins ? { prefix: begins } : {}), ...(streamed ? { streams: streamed } : {}) }, replace });
  // Whoever closes what a row opened goes on from that row.
  const opener = useRef<Element>(null);
  const open = (change: FunctionSearch) => {
    opener.current = document.activeElement;
    go({ ...list, ...change }, false);
  };
  const shut = () => {
    go(list);
    setTimeout(() => opener.current instanceof HTMLElement && opener.current.focus({ preventScroll: true }));
  };
  const list: FunctionSearch = {
    ...(shared === undefined ? {} : { shared }),
    ...(left === undefined ? {} : { left }),
    ...(prefix ? { prefix } : {}),
    ...(streams ? { streams } : {}),
  };
  const [hidden, mayWrite] = [may("read-payload"), may("write")];
  // With very many namespaces it may be one that was not listed.
  const isEmpty = spaces.isSuccess && !found && !spaces.data.next;
  const actions = useMemo(
    () =>
      ({
        add: { id: "state-new", label: "New key", group: "State", icon: Plus, keys: "n", disabledReason: mayWrite, perform: () => setOpened("new") },
        clear: {
          id: "state-clear",
          label: "Delete all of it",
          group: "State",
          icon: Trash2,
          disabledReason: isEmpty ? "There is nothing to delete" : mayWrite,
          perform: () => setOpened("clear"),
        },
      }) satisfies Record<string, Action>,
    [mayWrite, isEmpty],
  );
  useActions(useMemo(() => Object.values(actions), [actions]));
  const whose = "function" in space ? [space.function] : ["--shared", space.shared];
  const close = () => setOpened(undefined);

  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <Whose name={name} space={space} spaces={spaces.data?.items ?? []} onChange={(next) => go(next)} />
        <Segmented
          label="What is listed"
          value={streams ? "streams" : "keys"}
          onChange={(next) => go({ ...list, streams: next === "streams" })}
          choices={[
            { value: "keys", label: <Counted label="Keys" count={found?.keys} more={found?.more} /> },
            { value: "streams", label: <Counted label="Streams" count={found?.streams} more={found?.more} /> },
          ]}
        />
        <SearchBox label="Begins with" placeholder="Begins with…" value={prefix} onSearch={(text) => go({ ...list, prefix: text })} />
        <span className="ml-auto flex items-center gap-2">
          {!actions.clear.disabledReason && <IconButton label="Delete all of it" icon={Trash2} onClick={actions.clear.perform} />}
          <CliButton
            command={command("nexus", "state", "list", ...whose, ["--prefix", prefix], streams && "--streams", ["--project", project])}
            request={curl(location.origin, withQuery(`/api/v1/projects/${project}/state/${streams ? "streams" : "keys"}`, { ...space, prefix }))}
          />
          <ActionButton action={actions.add} size="sm" />
        </span>
      </div>
      {spaces.isError && <ProblemLine error={spaces.error} />}
      {hidden ? (
        <Empty icon={Database} title="Keys and values are hidden">
          <p>Functions make them of what users sent. {hidden}.</p>
        </Empty>
      ) : isEmpty ? (
        <Nothing space={space} />
      ) : spaces.isPending ? (
        <Loading />
      ) : spaces.isError ? null : streams ? (
        <Streams project={project} space={space} prefix={prefix} onOpen={(next) => open({ stream: next })} />
      ) : (
        <Keys project={project} space={space} prefix={prefix} onOpen={(next) => open({ key: next })} />
      )}
      {key !== undefined && !hidden && <OneKey project={project} space={space} name={key} onClose={shut} />}
      {stream !== undefined && !hidden && <OneStream project={project} space={space} name={stream} onClose={shut} />}
      {opened === "new" && <NewKey project={project} space={space} onClose={close} onDone={(made) => go({ ...list, streams: false, key: made }, false)} />}
      {opened === "clear" && <ClearAll project={project} space={space} found={found} onClose={close} />}
    </div>
  );
}

function isOf(view: StateNamespace, space: Space): boolean {
  return "function" in space ? view.function === space.function : view.shared === space.shared;
}

function Counted({ label, count, more }: { label: string; count: number | undefined; more: boolean | undefined }) {
  return (
    <>
      {label}
      {count !== undefined && (
        <span className="nums ml-1 text-ink-3">
          {formatCount(count)}
          {more && "+"}
        </span>
      )}
    </>
  );
}

/** The function's own, one of the namespaces that functions share, or what a deleted function has left. */
function Whose({ name, space, spaces, onChange }: { name: string; space: Space; spaces: StateNamespace[]; onChange: (search: FunctionSearch) => void }) {
  const shared = new Set(spaces.flatMap((it) => (typeof it.shared === "string" ? [it.shared] : [])));
  const left = new Set(spaces.flatMap((it) => (typeof it.function === "string" && it.deleted ? [it.function] : [])));
  if ("shared" in space) shared.add(space.shared);
  else if (space.function !== name) left.add(space.function);
  const choices: { label: string; search: FunctionSearch; isChosen: boolean }[] = [
    { label: `${name} alone`, search: {}, isChosen: "function" in space && space.function === name },
    ...[...shared].map((it) => ({ label: `Shared: ${shownName(it)}`, search: { shared: it }, isChosen: "shared" in space && space.shared === it })),
    ...[...left].map((it) => ({ label: `Left by ${it}, deleted`, search: { left: it }, isChosen: "function" in space && space.function === it })),
  ];
  return (
    <Select
      aria-label="Whose state"
      className="h-7 w-48 text-xs"
      value={choices.findIndex((it) => it.isChosen)}
      onChange={({ target }) => onChange(choices[Number(target.value)]?.search ?? {})}
    >
      {choices.map((it, index) => (
        <option key={it.label} value={index}>
          {it.label}
        </option>
      ))}
    </Select>
  );
}

function Nothing({ space }: { space: Space }) {
  const own = "function" in space;
  return (
    <Empty icon={Database} title={own ? "It remembers nothing" : "Nothing is in it"}>
      <p>
        {own ? `What ${space.function} keeps with ` : "What functions keep with "}
        <code className="font-mono text-xs">{own ? "state.put" : `state.shared("${shownName(space.shared)}").put`}</code> outlives its calls, and is listed
        here with its versions. Replays neither read nor change it.
      </p>
    </Empty>
  );
}

interface ListProps {
  project: string;
  space: Space;
  prefix: string;
  onOpen: (name: string) => void;
}

const ROW = "relative has-[[data-row-link]:focus-visible]:bg-accent-soft";

function Keys({ project, space, prefix, onOpen }: ListProps) {
  const found = useInfiniteQuery(state.keys(project, space, prefix));
  const rows: StateKey[] = found.data?.pages.flatMap((page) => page.items) ?? [];
  if (found.isError) return <ProblemLine error={found.error} />;
  if (found.isPending) return <Loading />;
  if (rows.length === 0) return <NoneBegins prefix={prefix} what="key" />;
  return (
    <Steps>
      <Table label="Keys" head={[{ label: "Key" }, { label: "Value" }, { label: "Size", right: true }, { label: "Version", right: true }]}>
        {rows.map((row) => (
          <Row key={row.key} className={ROW}>
            <Cell className="max-w-80 truncate font-mono text-xs font-medium">
              <button type="button" data-row-link className={ROW_LINK} onClick={() => onOpen(row.key)}>
                {shownName(row.key)}
              </button>
            </Cell>
            <Cell className="w-full max-w-0 truncate font-mono text-xs text-ink-2">{previewOf(row)}</Cell>
            <Cell right className="text-ink-2">
              {formatBytes(row.bytes)}
            </Cell>
            <Cell right className="text-ink-3">
              {formatCount(row.version)}
            </Cell>
          </Row>
        ))}
      </Table>
      <More found={found} />
    </Steps>
  );
}

function Streams({ project, space, prefix, onOpen }: ListProps) {
  const found = useInfiniteQuery(state.streams(project, space, prefix));
  const rows: StateStream[] = found.data?.pages.flatMap((page) => page.items) ?? [];
  if (found.isError) return <ProblemLine error={found.error} />;
  if (found.isPending) return <Loading />;
  if (rows.length === 0) return <NoneBegins prefix={prefix} what="stream" />;
  return (
    <Steps>
      <Table label="Streams" head={[{ label: "Stream" }, { label: "Events", right: true }, { label: "Version", right: true }]}>
        {rows.map((row) => (
          <Row key={row.name} className={ROW}>
            <Cell className="w-full max-w-0 truncate font-mono text-xs font-medium">
              <button type="button" data-row-link className={ROW_LINK} onClick={() => onOpen(row.name)}>
                {shownName(row.name)}
              </button>
            </Cell>
            <Cell right className="text-ink-2">
              {formatCount(row.events)}
            </Cell>
            <Cell right className="text-ink-3">
              {formatCount(row.version)}
            </Cell>
          </Row>
        ))}
      </Table>
      <More found={found} />
    </Steps>
  );
}

function More({ found }: { found: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => Promise<unknown> } }) {
  if (!found.hasNextPage) return null;
  return (
    <div className="flex justify-center pt-3">
      <Button size="sm" busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
        Show more
      </Button>
    </div>
  );
}

function NoneBegins({ prefix, what }: { prefix: string; what: string }) {
  return (
    <Empty icon={SearchX} title={prefix ? `No ${what} begins with ${prefix}` : `No ${what}s`}>
      {prefix ? <p>Capital and small letters differ.</p> : <p>There is state of the other kind.</p>}
    </Empty>
  );
}

function ClearAll({ project, space, found, onClose }: { project: string; space: Space; found: StateNamespace | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const name = "function" in space ? space.function : space.shared;
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => changeState.removeAll(project, space),
    onSuccess: ({ keys, events }) => {
      say(`${plural(keys, "key")} and ${plural(events, "event")} are deleted.`);
      onClose();
      return askAgain(client, project);
    },
  });
  return (
    <ConfirmDialog
      title={`Delete all state of ${shownName(name)}?`}
      typed={name}
      verb="Delete all"
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      {found
        ? `${found.more ? "More than " : ""}${plural(found.keys, "key")} and ${plural(found.events, "event")} of ${plural(found.streams, "stream")} go`
        : "All its keys and streams go"}
      , for good. Recordings of what was read stay as they are.
    </ConfirmDialog>
  );
}
