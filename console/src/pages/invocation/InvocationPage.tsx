import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";

import { ApiError } from "~/api/problem";
import { queries } from "~/api/queries";
import type { Invocation } from "~/api/types";
import { LogLines } from "~/components/LogLines";
import { PayloadView } from "~/components/PayloadView";
import { ProblemView } from "~/components/ProblemView";
import { isUnfinished } from "~/lib/filters";
import { payloadOf } from "~/lib/payload";
import { Loading, Section } from "~/ui/layout";
import { Tabs } from "~/ui/Tabs";
import { Connections } from "./Connections";
import { CrashStack } from "./CrashStack";
import { Details } from "./Details";
import { InvocationHead } from "./InvocationHead";
import { Journal } from "./Journal";
import { MissingInvocation, PendingInvocation } from "./PendingInvocation";
import { Profile } from "./Profile";
import { ReplayResult } from "./ReplayResult";
import { useReplay } from "./useReplay";
import { Waterfall } from "./Waterfall";

export function InvocationPage() {
  const { project, invocation } = useParams({ from: "/p/$project/invocations/$invocation" });
  const found = useQuery(queries.invocation(project, invocation));
  if (found.isPending) return <Loading rows={10} />;
  if (found.error instanceof ApiError && found.error.isMissing)
    return <MissingInvocation key={invocation} project={project} invocation={invocation} missing={found.error} />;
  if (found.isError) return <ProblemView error={found.error} onRetry={() => void found.refetch()} />;
  const { status } = found.data;
  if (isUnfinished(status))
    return <PendingInvocation key={invocation} project={project} invocation={invocation} status={status} view={found.data} />;
  return <Ended key={invocation} project={project} view={found.data} />;
}

function Ended({ project, view }: { project: string; view: Invocation }) {
  const { tab = "payloads" } = useSearch({ from: "/p/$project/invocations/$invocation" });
  const navigate = useNavigate({ from: "/p/$project/invocations/$invocation" });
  const replay = useReplay(project, view.id);
  return (
    <div className="flex flex-col gap-6 px-4 pt-5 pb-12 md:px-7">
      <InvocationHead project={project} view={view} replay={replay} />
      <ReplayResult view={view} replay={replay} />
      <CrashStack project={project} view={view} />
      <Waterfall view={view} />
      <Tabs
        label="Parts of the invocation"
        value={tab}
        onChange={(next) => void navigate({ search: { tab: next }, replace: true })}
        tabs={[
          { value: "payloads", label: "Input and output", content: <Payloads view={view} /> },
          {
            value: "logs",
            label: "Logs",
            count: view.logs.length,
            content: view.logs.length ? (
              <LogLines lines={view.logs} />
            ) : (
              <p className="text-sm text-ink-3">The function wrote nothing.</p>
            ),
          },
          { value: "journal", label: "Journal", count: view.journal.length, content: <Journal view={view} /> },
          { value: "profile", label: "Profile", content: <Profile project={project} view={view} /> },
          { value: "connections", label: "Causes and effects", content: <Connections project={project} view={view} /> },
          { value: "details", label: "Details", content: <Details project={project} view={view} /> },
        ]}
      />
    </div>
  );
}

function Payloads({ view }: { view: Invocation }) {
  if (view.payloads_hidden)
    return (
      <p className="text-sm text-ink-2">
        Payloads are hidden: they need a token with the scope <code className="font-mono text-xs">read-payload</code>.
      </p>
    );
  return (
    <div className="grid gap-x-8 gap-y-6 lg:grid-cols-2">
      <Section title="Input">
        <PayloadView payload={payloadOf(view.input)} label="Input" />
      </Section>
      <Section title="Output">
        <PayloadView payload={payloadOf(view.output)} label="Output" />
      </Section>
    </div>
  );
}
