import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { queries } from "~/api/queries";
import type { DebugOpened, Frame } from "~/api/debug";
import { CliButton } from "~/components/CliButton";
import { DiffView } from "~/components/DiffView";
import { LogLines } from "~/components/LogLines";
import { ProblemLine, ProblemView } from "~/components/ProblemView";
import { StatusMark } from "~/components/StatusMark";
import { command } from "~/lib/cli";
import { placeOf } from "~/lib/failure";
import type { Json } from "~/lib/diff";
import { cx } from "~/ui/cx";
import { Page, Section } from "~/ui/layout";
import { Tabs } from "~/ui/Tabs";
import { Code } from "./Code";
import { CurrentOperation } from "./CurrentOperation";
import { Memory } from "./Memory";
import { Scrubber } from "./Scrubber";
import { StepBar } from "./StepBar";
import { Timeline } from "./Timeline";
import { Variables } from "./Variables";
import { useDebugger, type Debugger } from "./useDebugger";

/** Time travel: a recorded invocation runs again, forward and back, as often as one likes. Nothing reaches the world. */
export function DebugPage() {
  const { project, invocation } = useParams({ from: "/p/$project/debug/$invocation" });
  const session = useDebugger(project, invocation);
  if (session.opening.isError)
    return <ProblemView error={session.opening.error} onRetry={() => void session.opening.refetch()} />;
  return (
    <Page
      title={session.opened ? `Time travel: ${session.opened.function}` : "Time travel"}
      about={
        <Link to="/p/$project/invocations/$invocation" params={{ project, invocation }} className="font-mono text-xs link">
          {invocation}
        </Link>
      }
      actions={<CliButton command={command("nexus", "debug", invocation, ["--project", project])} />}
    >
      {session.opened ? <Bench project={project} invocation={invocation} session={session} opened={session.opened} /> : <Opening />}
    </Page>
  );
}

function Opening() {
  return (
    <div role="status" className="flex flex-col items-center gap-2 py-20 text-sm text-ink-2">
      <span className="size-5 animate-spin rounded-full border-2 border-line-strong border-t-accent" />
      Making the code for the debugger. The first time that takes a moment.
    </div>
  );
}

function Bench({ project, invocation, session, opened }: { project: string; invocation: string; session: Debugger; opened: DebugOpened }) {
  const { state } = session;
  const [tab, setTab] = useState(opened.files?.length ? "code" : "operation");
  const [chosen, setChosen] = useState(0);
  if (!state) return null;
  const frame = state.frames[Math.min(chosen, state.frames.length - 1)];
  return (
    <>
      <div className="flex flex-col gap-3">
        <StepBar session={session} hasLines={opened.has_lines} />
        <Scrubber timeline={opened.timeline} state={state} busy={session.busy} onGo={(operation) => session.tell({ command: "run-to", operation })} />
        <p role="status" className={cx("text-sm", TONES[state.reason] ?? "text-ink-2")}>
          {state.description}
        </p>
        {session.problem ? <ProblemLine error={session.problem} /> : null}
      </div>
      <div className="grid gap-6 lg:grid-cols-[minmax(15rem,1fr)_2fr]">
        <Timeline timeline={opened.timeline} state={state} session={session} />
        <Tabs
          label="State"
          value={tab}
          onChange={setTab}
          tabs={[
            {
              value: "code",
              label: "Code",
              content: <Code project={project} opened={opened} state={state} session={session} frame={frame} />,
            },
            { value: "operation", label: "Operation", content: <CurrentOperation key={state.operation} state={state} session={session} /> },
            {
              value: "stack",
              label: "Stack",
              count: state.frames.length,
              content: <Stack frames={state.frames} chosen={frame} onChoose={setChosen} globals={state.globals} />,
            },
            { value: "memory", label: "Memory", content: <Memory state={state} session={session} /> },
            {
              value: "logs",
              label: "Logs",
              count: state.logs.length,
              content: state.logs.length ? <LogLines lines={state.logs} /> : <p className="text-sm text-ink-3">Nothing was written up to here.</p>,
            },
          ]}
        />
      </div>
      {state.ended && <Ended project={project} invocation={invocation} ended={state.ended} />}
    </>
  );
}

const TONES: Record<string, string> = { trap: "text-bad", diverged: "text-bad", "new-effect": "text-warn" };

function Stack({ frames, chosen, onChoose, globals }: { frames: Frame[]; chosen: Frame | undefined; onChoose: (index: number) => void; globals: DebugStateGlobals }) {
  if (frames.length === 0) return <p className="text-sm text-ink-3">The function does not run here.</p>;
  return (
    <div className="grid gap-6 xl:grid-cols-2">
      <ol aria-label="Stack" className="max-h-120 overflow-y-auto rounded-lg border border-line">
        {frames.map((frame, index) => (
          <li key={`${index}-${frame.offset}`} className="border-b border-line last:border-b-0">
            <button
              type="button"
              aria-pressed={frame === chosen}
              onClick={() => onChoose(index)}
              className={cx("w-full px-3 py-1.5 text-left", frame === chosen ? "bg-pressed" : "hover:bg-hover")}
            >
              <span className="block truncate font-mono text-xs">{frame.function}</span>
              <span className="block truncate text-2xs text-ink-3">
                {placeOf(frame)}
                {frame.inlined ? ", inlined" : ""}
              </span>
            </button>
          </li>
        ))}
      </ol>
      <div className="flex flex-col gap-6">
        <Section title="Locals">
          <Variables variables={chosen?.locals ?? []} label="Locals" />
        </Section>
        {globals.length > 0 && (
          <Section title="Globals">
            <Variables variables={globals} label="Globals" />
          </Section>
        )}
      </div>
    </div>
  );
}

type DebugStateGlobals = NonNullable<Debugger["state"]>["globals"];
type DebugStateEnd = NonNullable<NonNullable<Debugger["state"]>["ended"]>;

function Ended({ project, invocation, ended }: { project: string; invocation: string; ended: DebugStateEnd }) {
  const recorded = useQuery(queries.invocation(project, invocation));
  return (
    <Section title="How it ended" actions={<StatusMark status={ended.status} filled />}>
      {ended.failure && <p className="mb-2 text-sm text-bad">{ended.failure}</p>}
      {ended.difference && <p className="mb-2 text-sm text-warn">{ended.difference}</p>}
      {recorded.data && (
        <DiffView before={recorded.data.output as Json} after={ended.output} names={["Recorded output", "Output here"]} />
      )}
    </Section>
  );
}
