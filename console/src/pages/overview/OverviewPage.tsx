import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Rocket } from "lucide-react";

import { queries } from "~/api/queries";
import type { Stats } from "~/api/types";
import { Chart } from "~/components/chart/Chart";
import { durationSeries, invocationSeries, timesOf } from "~/components/chart/series";
import { CliButton } from "~/components/CliButton";
import { ProblemView } from "~/components/ProblemView";
import { command, curl } from "~/lib/cli";
import { formatCompact } from "~/lib/format";
import { formatDuration, parseSpan } from "~/lib/time";
import { Command } from "~/ui/Copy";
import { Card, Empty, Loading, Page, Section } from "~/ui/layout";
import { Segmented } from "~/ui/Tabs";
import { Busiest } from "./Busiest";
import { Changes } from "./Changes";
import { Figures } from "./Figures";
import { LatestFailures } from "./LatestFailures";
import { Verdict } from "./Verdict";

const RANGES = ["15m", "1h", "6h", "24h", "7d"] as const;
type Range = (typeof RANGES)[number];

/** Is all well? */
export function OverviewPage() {
  const { project } = useParams({ from: "/p/$project/" });
  const search = useSearch({ from: "/p/$project/" });
  const navigate = useNavigate({ from: "/p/$project/" });
  const range: Range = RANGES.find((it) => it === search.range) ?? "1h";
  const stats = useQuery(queries.stats(project, { since: range, buckets: 60 }));
  const functions = useQuery(queries.functions(project));
  if (stats.isError) return <ProblemView error={stats.error} onRetry={() => void stats.refetch()} />;
  if (stats.isPending || functions.isPending) return <Loading rows={10} />;
  if (functions.data?.items.length === 0 && stats.data.totals.invocations === 0) return <FirstSteps project={project} />;
  return (
    <Page
      title={<Verdict stats={stats.data} />}
      actions={
        <>
          <Segmented
            label="Range"
            value={range}
            onChange={(next) => void navigate({ search: { range: next }, replace: true })}
            choices={RANGES.map((value) => ({ value, label: value }))}
          />
          <CliButton
            command={command("nexus", "status", ["--project", project])}
            request={curl(location.origin, `/api/v1/projects/${project}/stats`)}
          />
        </>
      }
    >
      <Figures project={project} stats={stats.data} range={range} />
      <Charts project={project} stats={stats.data} />
      <div className="grid gap-x-8 gap-y-6 xl:grid-cols-[1.6fr_1fr]">
        <Busiest project={project} stats={stats.data} seconds={(parseSpan(range) ?? 1) / 1_000} />
        <Changes project={project} />
      </div>
      <LatestFailures project={project} range={range} />
    </Page>
  );
}

function Charts({ project, stats }: { project: string; stats: Stats }) {
  const navigate = useNavigate();
  const closer = (since: Date, until: Date) =>
    void navigate({
      to: "/p/$project/invocations",
      params: { project },
      search: { since: since.toISOString(), until: until.toISOString() },
    });
  return (
    <div className="grid gap-4 lg:grid-cols-2">
      <Card className="px-4 pt-3 pb-2">
        <Section title="Invocations">
          <Chart label="Invocations over time" times={timesOf(stats)} series={invocationSeries(stats)} format={formatCompact} onRange={closer} />
        </Section>
      </Card>
      <Card className="px-4 pt-3 pb-2">
        <Section title="Duration">
          <Chart label="Duration over time" times={timesOf(stats)} series={durationSeries(stats)} format={formatDuration} logarithmic onRange={closer} />
        </Section>
      </Card>
    </div>
  );
}

function FirstSteps({ project }: { project: string }) {
  return (
    <Empty icon={Rocket} title="Your first function is two commands away">
      <p>Make a function, and run it: it answers, and every call of it is kept well enough to happen again.</p>
      <Command text={command("nexus", "new", project === "default" ? "hello" : project, ["--lang", "javascript"])} />
      <Command text={`cd ${project === "default" ? "hello" : project} && ${command("nexus", "deploy", ["--server", location.origin])}`} />
      <p>
        Or{" "}
        <Link to="/p/$project/functions" params={{ project }} className="link">
          drop a component
        </Link>{" "}
        that you have built already.
      </p>
    </Empty>
  );
}
