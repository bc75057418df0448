import { useQuery } from "@tanstack/react-query";
import { Download, RotateCcw } from "lucide-react";
import { useMemo, useState } from "react";

import { queries } from "~/api/queries";
import type { Invocation, Profile as Data } from "~/api/types";
import { Chart } from "~/components/chart/Chart";
import { CliButton } from "~/components/CliButton";
import { ProblemView } from "~/components/ProblemView";
import { useMay } from "~/hooks/useMay";
import { command, curl } from "~/lib/cli";
import { flameTree, functionShares, samplesWith, shortName, type FlameNode } from "~/lib/flame";
import { formatBytes, formatCount, formatShare } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { Button, buttonClass } from "~/ui/Button";
import { Input } from "~/ui/fields";
import { Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { FlameGraph } from "./FlameGraph";

const FILES = [
  ["svg", "SVG", "flame.svg"],
  ["pprof", "pprof", "profile.pb.gz"],
  ["firefox", "Firefox", "profile.json"],
] as const;
const FUNCTIONS_SHOWN = 15;

/** Where an invocation spent its time and memory: it is replayed for that, and touches nothing. */
export function Profile({ project, view }: { project: string; view: Invocation }) {
  const mayNot = useMay()("replay");
  const reason = view.not_replayable || (view.level === "none" ? "only its row was kept" : mayNot);
  const profile = useQuery({ ...queries.profile(project, view.id), enabled: !reason });
  if (reason) return <p className="text-sm text-ink-3">It cannot be profiled: {reason}.</p>;
  if (profile.isError) return <ProblemView error={profile.error} onRetry={() => void profile.refetch()} />;
  if (!profile.data)
    return (
      <div role="status" className="flex items-center gap-3 py-8 text-sm text-ink-2">
        <span className="size-4 animate-spin rounded-full border-2 border-line-strong border-t-accent" />
        Replaying it until there is enough to see. That takes up to ten seconds, and touches nothing.
      </div>
    );
  return <Found project={project} view={view} profile={profile.data} />;
}

function Found({ project, view, profile }: { project: string; view: Invocation; profile: Data }) {
  const root = useMemo(() => flameTree(profile), [profile]);
  const [zoom, setZoom] = useState<FlameNode>(root);
  const [search, setSearch] = useState("");
  const path = `/api/v1/projects/${project}/invocations/${view.id}/profile`;
  const found = search ? samplesWith(profile, search) / Math.max(profile.samples, 1) : undefined;
  return (
    <div className="flex flex-col gap-6">
      <Section
        title="Processor"
        about={`${formatDuration(profile.run_ns)} in one run; ${formatCount(profile.samples)} samples of ${formatCount(profile.replays)} replays`}
        actions={
          <>
            {FILES.map(([format, label, file]) => (
              <a key={format} href={`${path}?format=${format}`} download={file} className={buttonClass({ size: "sm" })}>
                <Download aria-hidden className="size-3.5" />
                {label}
              </a>
            ))}
            <CliButton command={command("nexus", "profile", view.id, ["--project", project])} request={curl(location.origin, `${path}?format=text`)} />
          </>
        }
      >
        {profile.samples === 0 ? (
          <p className="text-sm text-ink-3">It computes for too short a time to be seen.</p>
        ) : (
          <>
            <div className="mb-2.5 flex flex-wrap items-center gap-3">
              <div className="w-64">
                <Input type="search" aria-label="Find a function" placeholder="Find a function" value={search} onChange={(event) => setSearch(event.target.value)} />
              </div>
              {found !== undefined && (
                <span role="status" className="nums text-xs text-ink-2">
                  in {formatShare(found)} of the samples
                </span>
              )}
              {zoom !== root && (
                <Button size="sm" icon={RotateCcw} onClick={() => setZoom(root)}>
                  All of it
                </Button>
              )}
              <span className="ml-auto hidden items-center gap-3 text-2xs text-ink-3 md:flex">
                <Key ink="oklch(0.79 0.135 60)">own code</Key>
                <Key ink="oklch(0.86 0.045 95)">libraries and the language</Key>
              </span>
            </div>
            <FlameGraph profile={profile} root={root} zoom={zoom} onZoom={setZoom} search={search} />
          </>
        )}
      </Section>
      <div className="grid gap-x-8 gap-y-6 lg:grid-cols-2">
        <Functions profile={profile} onChoose={setSearch} />
        <Memory profile={profile} />
      </div>
    </div>
  );
}

function Key({ ink, children }: { ink: string; children: string }) {
  return (
    <span className="flex items-center gap-1.5">
      <span aria-hidden className="size-2 rounded-[2px]" style={{ background: ink }} />
      {children}
    </span>
  );
}

function Functions({ profile, onChoose }: { profile: Data; onChoose: (name: string) => void }) {
  const shares = useMemo(() => functionShares(profile), [profile]);
  if (shares.length === 0) return null;
  return (
    <Section title="Functions" about={shares.length > FUNCTIONS_SHOWN ? `The first ${FUNCTIONS_SHOWN} of ${formatCount(shares.length)}` : undefined}>
      <Table label="Functions" head={[{ label: "Function" }, { label: "Itself", right: true }, { label: "With calls", right: true }]}>
        {shares.slice(0, FUNCTIONS_SHOWN).map(({ name, frame, own, whole }) => (
          <Row key={name}>
            <Cell className="w-full max-w-0 py-1.5">
              <button type="button" title={name} onClick={() => onChoose(name)} className="block max-w-full truncate font-mono text-xs hover:underline">
                {shortName(name)}
              </button>
              {frame.source && <span className="block truncate text-2xs text-ink-3">{frame.source}</span>}
            </Cell>
            <Cell right>{formatShare(own / Math.max(profile.samples, 1))}</Cell>
            <Cell right>{formatShare(whole / Math.max(profile.samples, 1))}</Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}

/** Memory grows in steps: each point is drawn until the next one. */
function Memory({ profile }: { profile: Data }) {
  const points = profile.memory;
  const [times, values] = useMemo(() => {
    const steps: [number, number][] = [];
    for (const { at_ns, bytes } of profile.memory) {
      const last = steps.at(-1);
      if (last && last[1] !== bytes) steps.push([at_ns - 1, last[1]]);
      steps.push([at_ns, bytes]);
    }
    const last = steps.at(-1);
    if (last) steps.push([Math.max(profile.run_ns, last[0] + 1), last[1]]);
    return [steps.map(([at]) => at), steps.map(([, bytes]) => bytes)];
  }, [profile]);
  if (points.length === 0) return null;
  return (
    <Section title="Memory" about={`${formatBytes(Math.max(...points.map((point) => point.bytes)))} at most, in one replay`}>
      <Chart
        label="Linear memory over time"
        times={times}
        series={[{ label: "Linear memory", colour: "accent", shape: "area", values }]}
        format={formatBytes}
        formatTime={formatDuration}
        height={170}
      />
    </Section>
  );
}
