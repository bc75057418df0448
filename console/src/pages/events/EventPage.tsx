import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Send } from "lucide-react";
import { useMemo, useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { EventRow } from "~/api/types";
import { useActions, type Action } from "~/app/actions";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { JsonView } from "~/components/JsonView";
import { TextView } from "~/components/PayloadView";
import { ProblemView } from "~/components/ProblemView";
import { StatusMark } from "~/components/StatusMark";
import { Clock, Moment } from "~/components/Time";
import { WhyBox } from "~/components/WhyBox";
import { useMay } from "~/hooks/useMay";
import { command, curl } from "~/lib/cli";
import type { Json } from "~/lib/diff";
import { formatBytes } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { CopyButton } from "~/ui/Copy";
import { Facts, Loading, Page, Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { EffectGraph } from "./EffectGraph";
import { EmitDialog } from "./EmitDialog";
import { senderOf } from "./EventCells";

/** Deliveries that have not ended are looked at again this often. */
const ASK_MS = 2_000;
const ENDED = new Set([
  "handled",
  "succeeded",
  "dead",
  "unmatched",
  "cancelled",
  "nobody",
  "fell-back",
  "dropped",
  "replaced",
  "duplicate",
]);

export function EventPage() {
  const { project, event } = useParams({ from: "/p/$project/events/$event" });
  const found = useQuery(queries.event(project, event));
  if (found.isPending) return <Loading rows={10} />;
  if (found.isError) return <ProblemView error={found.error} onRetry={() => void found.refetch()} />;
  return <OneEvent key={event} project={project} view={found.data} />;
}

function OneEvent({ project, view }: { project: string; view: EventRow }) {
  const [sends, setSends] = useState(false);
  const why = useQuery({
    ...queries.why(project, view.id),
    refetchInterval: (query) => (query.state.data?.items.every((it) => ENDED.has(it.state)) ? false : ASK_MS),
  });
  const disabledReason = useMay()("emit");
  const again = useMemo(
    (): Action => ({ id: "again", label: "Send again", group: "This event", icon: Send, keys: "r", disabledReason, perform: () => setSends(true) }),
    [disabledReason],
  );
  useActions(useMemo(() => [again], [again]));
  const { event } = view;
  return (
    <Page
      title={event.type}
      about={
        <span className="flex items-center gap-1 font-mono text-xs text-ink-3">
          {view.id}
          <CopyButton text={view.id} label="Copy the id" />
        </span>
      }
      actions={
        <>
          <ActionButton action={again} />
          <CliButton
            command={command("nexus", "events", "show", view.id, ["--project", project])}
            request={curl(location.origin, `/api/v1/projects/${project}/events/${view.id}`)}
          />
        </>
      }
    >
      {why.data && why.data.items.length > 0 && <WhyBox answers={why.data.items} />}
      <Section title="What it caused">
        <EffectGraph project={project} root={view.id} />
      </Section>
      <div className="grid gap-x-8 gap-y-6 lg:grid-cols-[1.2fr_1fr]">
        <Section title="Data" about={`${event.datacontenttype ?? "no content type"}, ${formatBytes(view.data_bytes)}`}>
          <EventData view={view} />
        </Section>
        <Section title="Attributes">
          <Facts
            items={[
              ["Type", event.type],
              ["Source", event.source],
              ["Subject", event.subject],
              ["Id of sender", <span key="id" className="font-mono text-xs break-all">{event.id}</span>],
              ["Time", event.time && <Moment key="time" at={event.time} />],
              ["Received", <Moment key="received" at={view.received} />],
              ["Sent by", view.cause ? <Cause key="cause" project={project} view={view} /> : senderOf(view.principal)],
              ["Schema", event.dataschema],
              ["Trace", view.traceparent && <TraceLink key="trace" project={project} traceparent={view.traceparent} />],
              ...extensionsOf(event),
            ]}
          />
        </Section>
      </div>
      <Attempts project={project} event={view.id} />
      {sends && <EmitDialog project={project} like={event} onClose={() => setSends(false)} />}
    </Page>
  );
}

function EventData({ view }: { view: EventRow }) {
  if (view.data_problem) return <p role="alert" className="text-sm text-bad">Its data is lost: {view.data_problem}.</p>;
  const { data, data_base64: bytes } = view.event;
  if (data !== undefined)
    return typeof data === "string" ? <TextView text={data} label="the data" /> : <JsonView value={data as Json} label="the data" />;
  if (bytes) return <TextView text={bytes} label="the data in base 64" />;
  return <p className="text-sm text-ink-3">{view.data_bytes ? "Its data is hidden from this token." : "It has no data."}</p>;
}

function Cause({ project, view }: { project: string; view: EventRow }) {
  return (
    <Link
      to="/p/$project/invocations/$invocation"
      params={{ project, invocation: view.cause ?? "" }}
      className="link"
    >
      {senderOf(view.principal)}
    </Link>
  );
}

function TraceLink({ project, traceparent }: { project: string; traceparent: string }) {
  const trace = traceparent.split("-")[1] ?? "";
  return (
    <Link to="/p/$project/invocations" params={{ project }} search={{ trace }} className="font-mono text-xs break-all link">
      {trace}
    </Link>
  );
}

const ATTRIBUTES = new Set(["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"]);

function extensionsOf(event: object): [string, string][] {
  return Object.entries(event)
    .filter(([name]) => !ATTRIBUTES.has(name))
    .map(([name, value]) => [name, String(value)]);
}

function Attempts({ project, event }: { project: string; event: string }) {
  const attempts = useQuery({
    queryKey: [project, "event", event, "attempts"],
    refetchInterval: ASK_MS,
    queryFn: () =>
      take(api.GET("/api/v1/projects/{project}/invocations", { params: { path: { project }, query: { event, limit: 100 } } })),
  });
  if (!attempts.data?.items.length) return null;
  return (
    <Section title="Attempts" about="Every invocation that handled it">
      <Table
        label="Attempts"
        head={[{ label: "Status" }, { label: "Function" }, { label: "Attempt", right: true }, { label: "Took", right: true }, { label: "Started", right: true }]}
      >
        {attempts.data.items.map((row) => (
          <Row key={row.id}>
            <Cell>
              <StatusMark status={row.status} />
            </Cell>
            <Cell className="w-full font-medium">
              <Link to="/p/$project/invocations/$invocation" params={{ project, invocation: row.id }} className="hover:underline">
                {row.function}
              </Link>
            </Cell>
            <Cell right>{row.attempt}</Cell>
            <Cell right>{formatDuration(row.duration_ns)}</Cell>
            <Cell right className="text-ink-2">
              <Clock at={row.accepted} />
            </Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}
