import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Bug, ChevronDown, ChevronUp, FlaskConical, GitCompareArrows, RotateCcw } from "lucide-react";
import { useMemo, useState, type ReactNode } from "react";

import { queries } from "~/api/queries";
import type { Invocation, Why } from "~/api/types";
import { useActions, type Action } from "~/app/actions";
import { shownKeys } from "~/app/shortcuts";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { StatusMark } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { WhyBox } from "~/components/WhyBox";
import { useMay } from "~/hooks/useMay";
import { command, curl } from "~/lib/cli";
import { formatBytes } from "~/lib/format";
import { neighbours } from "~/lib/listOrder";
import { formatDuration } from "~/lib/time";
import { IconButton } from "~/ui/Button";
import { CopyButton } from "~/ui/Copy";
import { CompareDialog } from "./CompareDialog";
import { SaveTestDialog } from "./SaveTestDialog";
import type { ReplayMutation } from "./useReplay";

interface Props {
  project: string;
  view: Invocation;
  replay: ReplayMutation;
}

export function InvocationHead({ project, view, replay }: Props) {
  const [opened, setOpened] = useState<"compare" | "save">();
  const actions = useInvocationActions(project, view, replay, setOpened);
  useActions(actions.all);
  const path = `/api/v1/projects/${project}/invocations/${view.id}`;
  const why = useQuery(queries.why(project, view.id));
  return (
    <>
      <header className="flex flex-col gap-3">
        <div className="flex flex-wrap items-start gap-x-4 gap-y-3">
          <div className="min-w-0 flex-1 basis-72">
            <h1 className="flex flex-wrap items-center gap-x-3 gap-y-1 text-xl font-semibold tracking-tight">
              <Link
                to="/p/$project/functions/$function"
                params={{ project, function: view.function }}
                className="hover:underline"
              >
                {view.function}
              </Link>
              <StatusMark status={view.status} filled detail={view.http_status ? String(view.http_status) : undefined} />
            </h1>
            <p className="mt-1 flex items-center gap-1 font-mono text-xs text-ink-3">
              <span className="truncate">{view.id}</span>
              <CopyButton text={view.id} label="Copy the id" />
            </p>
          </div>
          <div className="flex flex-wrap items-center gap-2">
            <ActionButton action={actions.save} />
            <ActionButton action={actions.compare} />
            <ActionButton action={actions.debug} />
            <ActionButton action={actions.replay} look="solid" busy={replay.isPending} />
            <CliButton
              command={command("nexus", "invocations", "show", view.id, ["--project", project])}
              request={curl(location.origin, path)}
            />
            <span className="flex">
              <IconButton label="Newer in the list" icon={ChevronUp} keys={shownKeys("[")} onClick={actions.newer.perform} />
              <IconButton label="Older in the list" icon={ChevronDown} keys={shownKeys("]")} onClick={actions.older.perform} />
            </span>
          </div>
        </div>
        <Figures project={project} view={view} />
      </header>
      {opened === "compare" && <CompareDialog project={project} view={view} onClose={() => setOpened(undefined)} />}
      {opened === "save" && <SaveTestDialog project={project} view={view} onClose={() => setOpened(undefined)} />}
      {why.data && isTelling(view, why.data.items) && <WhyBox answers={why.data.items} failure={view.failure ?? undefined} />}
    </>
  );
}

/** A success needs no explanation, unless there is more to it. */
function isTelling(view: Invocation, answers: readonly Why[]): boolean {
  const reasons = answers.flatMap((why) => why.because ?? []).filter((reason) => reason !== "it can be replayed exactly");
  return view.status !== "succeeded" || reasons.length > 0;
}

function useInvocationActions(project: string, view: Invocation, replay: ReplayMutation, open: (what: "compare" | "save") => void) {
  const navigate = useNavigate();
  const { mutate } = replay;
  const may = useMay();
  const [mayReplay, mayWrite] = [may("replay"), may("write")];
  return useMemo(() => {
    const group = "This invocation";
    const cannot = view.not_replayable || (view.level === "none" ? "only its row was kept" : undefined);
    const reason = cannot ? `It cannot be replayed: ${cannot}` : mayReplay;
    const go = (id: string | undefined) =>
      id && void navigate({ to: "/p/$project/invocations/$invocation", params: { project, invocation: id } });
    const near = () => neighbours(view.id);
    const actions = {
      replay: {
        id: "replay",
        label: "Replay",
        group,
        icon: RotateCcw,
        keys: "r",
        disabledReason: reason,
        perform: () => mutate(),
      },
      compare: {
        id: "compare",
        label: "Compare",
        group,
        icon: GitCompareArrows,
        keys: "c",
        words: "with version replay against",
        disabledReason: reason,
        perform: () => open("compare"),
      },
      save: {
        id: "save",
        label: "Save as test",
        group,
        icon: FlaskConical,
        keys: "s",
        words: "suite",
        disabledReason: reason ?? mayWrite,
        perform: () => open("save"),
      },
      debug: {
        id: "debug",
        label: "Debug",
        group,
        icon: Bug,
        keys: "d",
        words: "time travel step",
        disabledReason: reason,
        perform: () => void navigate({ to: "/p/$project/debug/$invocation", params: { project, invocation: view.id } }),
      },
      newer: { id: "newer", label: "Newer in the list", group: "List", keys: "[", perform: () => go(near().newer) },
      older: { id: "older", label: "Older in the list", group: "List", keys: "]", perform: () => go(near().older) },
    } satisfies Record<string, Action>;
    return { ...actions, all: Object.values(actions) as Action[] };
  }, [project, view, mutate, navigate, mayReplay, mayWrite, open]);
}

function Figures({ project, view }: { project: string; view: Invocation }) {
  const versions = useQuery(queries.versions(project, view.function));
  const version = versions.data?.items.find((it) => it.id === view.version);
  const figures: [string, ReactNode][] = [
    ["Took", formatDuration(view.duration_ns)],
    ["Started", <Ago key="at" at={view.accepted} />],
    ["Called by", callerOf(project, view)],
    ["Version", version ? `v${version.number}` : (view.version ?? "none")],
    ["Attempt", view.attempt],
    ["Start", view.cold ? `cold: ${view.cold_reason ?? ""}` : "warm"],
    ["Processor", formatDuration(view.meter.cpu_ns)],
    ["Memory", formatBytes(view.meter.memory_peak_bytes)],
    ["Replay", view.not_replayable ? "not possible" : view.level],
  ];
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-3 rounded-lg border border-line px-4 py-3 sm:grid-cols-3 lg:flex lg:flex-wrap lg:justify-between">
      {figures.map(([name, value]) => (
        <div key={name} className="min-w-0">
          <dt className="text-2xs text-ink-3">{name}</dt>
          <dd className="nums truncate text-sm font-medium">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function callerOf(project: string, view: Invocation): ReactNode {
  if (view.cause_event)
    return (
      <Link
        to="/p/$project/events/$event"
        params={{ project, event: view.cause_event }}
        className="link"
      >
        an event
      </Link>
    );
  if (view.cause_invocation)
    return (
      <Link
        to="/p/$project/invocations/$invocation"
        params={{ project, invocation: view.cause_invocation }}
        className="link"
      >
        a function
      </Link>
    );
  return view.trigger === "http" ? "HTTP" : view.principal.replace("token:", "token ");
}
