import { useQuery } from "@tanstack/react-query";
import { CornerDownRight, Rewind } from "lucide-react";
import { useMemo, useState } from "react";

import type { DebugOpened, DebugState, Frame } from "~/api/debug";
import { queries } from "~/api/queries";
import { ProblemLine } from "~/components/ProblemView";
import { SourceView } from "~/components/SourceView";
import { isOwn } from "~/lib/failure";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Field, Input, Select } from "~/ui/fields";
import type { Debugger } from "./useDebugger";

interface Props {
  project: string;
  opened: DebugOpened;
  state: DebugState;
  session: Debugger;
  /** The frame that was chosen in the stack. */
  frame: Frame | undefined;
}

/** The code where the function stands: its line is marked, a click beside a line stops there. */
export function Code({ project, opened, state, session, frame }: Props) {
  const sources = useQuery(queries.sources(project, opened.function, opened.version));
  const shown = useMemo(() => (frame?.source ? frame : state.frames.find(isOwn)), [frame, state.frames]);
  const [chosen, setChosen] = useState<{ path: string; at: DebugState }>();
  const files = opened.files ?? [];
  // A file that somebody opened is left again when the function stands elsewhere.
  const own = files.find((it) => isOwn({ source: it.path }));
  const path = (chosen?.at === state ? chosen.path : undefined) ?? shown?.source ?? chosen?.path ?? own?.path ?? files[0]?.path;
  const file = files.find((it) => it.path === path)?.file;
  const [line, setLine] = useState("");
  const stops = useMemo(
    () => state.breakpoints.filter((it) => it.file === file || it.file === path).map((it) => ({ line: it.line, verified: it.verified })),
    [state.breakpoints, file, path],
  );
  if (!path || files.length === 0) return <NoCode opened={opened} />;
  if (sources.isError) return <ProblemLine error={sources.error} />;
  const text = sources.data?.files[path];
  const { lines } = session.stops;
  const toggle = (at: number) => {
    if (!file) return;
    // Where no code stands, the breakpoint is on the next line that has some.
    const known = state.breakpoints.findIndex((it) => it.file === file && it.line === at);
    session.stopAt({ lines: known >= 0 ? lines.filter((_, index) => index !== known) : [...lines, { file, line: at }] });
  };
  const wanted = Number(line);
  const runTo = (at: number, back: boolean) => {
    if (file) void session.runToLine({ file, line: at }, back);
  };
  const noLine = Number.isInteger(wanted) && wanted > 0 ? undefined : "Which line?";
  return (
    <div className="flex flex-col gap-3">
      <form
        className="flex flex-wrap items-end gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          if (!noLine) runTo(wanted, false);
        }}
      >
        <Field label="File">
          {(id) => (
            <Select id={id} value={path} onChange={(event) => setChosen({ path: event.target.value, at: state })} className="min-w-48 font-mono text-xs">
              {files.map((it) => (
                <option key={it.path} value={it.path}>
                  {it.path}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label="Line">
          {(id) => (
            <span className="w-20">
              <Input id={id} inputMode="numeric" value={line} onChange={(event) => setLine(event.target.value)} className="font-mono text-xs" />
            </span>
          )}
        </Field>
        <Button type="submit" icon={CornerDownRight} disabledReason={noLine} busy={session.busy}>
          Run to it
        </Button>
        <Button icon={Rewind} disabledReason={noLine} busy={session.busy} onClick={() => runTo(wanted, true)}>
          Back to it
        </Button>
        <Button disabledReason={noLine} onClick={() => toggle(wanted)}>
          {stops.some((it) => it.line === wanted) ? "No breakpoint" : "Breakpoint"}
        </Button>
      </form>
      {text !== undefined && (
        <SourceView
          label={`Code of ${path}`}
          path={path}
          text={text}
          heightMax={460}
          line={shown?.source === path ? (shown.line ?? undefined) : undefined}
          tone={state.reason === "trap" ? "bad" : "here"}
          stops={stops}
          onToggle={toggle}
          onRunTo={(at) => runTo(at, false)}
        />
      )}
      <p className="text-xs text-ink-3">
        A click beside a line, or F9 on it, sets a breakpoint; Ctrl+Enter runs to it. Steps by line go forward and back above.
      </p>
    </div>
  );
}

function NoCode({ opened }: { opened: DebugOpened }) {
  return (
    <div className="flex flex-col gap-2 text-sm text-ink-2">
      {opened.has_lines ? (
        <>
          <p>The code is not kept beside this version: it was deployed as a component, or with sources = false. The next deployment of the project brings it.</p>
          <Command text="nexus deploy" />
        </>
      ) : (
        <p>
          The component has no line tables, so places in the code are not known. Rust functions have them; what runs in an interpreter shows the
          interpreter here. Operations and logs can be stepped all the same.
        </p>
      )}
    </div>
  );
}
