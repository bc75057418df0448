import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, Send } from "lucide-react";
import { useState } from "react";

import { api, send, take } from "~/api/client";
import type { ApiError } from "~/api/problem";
import { ASK_MS, queries } from "~/api/queries";
import type { Invocation } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { PayloadView } from "~/components/PayloadView";
import { ProblemView } from "~/components/ProblemView";
import { StatusMark } from "~/components/StatusMark";
import { WhyBox } from "~/components/WhyBox";
import { command } from "~/lib/cli";
import type { Unfinished } from "~/lib/filters";
import { payloadOf } from "~/lib/payload";
import { Button } from "~/ui/Button";
import { Field, Input, TextArea } from "~/ui/fields";
import { Loading, Page, Section } from "~/ui/layout";
import { say } from "~/ui/toasts";

/** An invocation that is not in the log: the engine may know it. */
export function MissingInvocation({ project, invocation, missing }: { project: string; invocation: string; missing: ApiError }) {
  const client = useQueryClient();
  const pending = useQuery({
    queryKey: [project, "pending", invocation],
    refetchInterval: ASK_MS,
    queryFn: async () => {
      const answer = await send(`/api/v1/projects/${project}/invocations/${invocation}/result`).catch(() => undefined);
      if (answer?.status === 202) return (await answer.json()) as { status: Unfinished };
      // It has ended in the meantime (or never was): the log knows the rest.
      await client.invalidateQueries({ queryKey: queries.invocation(project, invocation).queryKey });
      return null;
    },
  });
  if (pending.isPending) return <Loading />;
  if (!pending.data) return <ProblemView error={missing} />;
  return <PendingInvocation project={project} invocation={invocation} status={pending.data.status} />;
}

interface Props {
  project: string;
  invocation: string;
  status: Unfinished;
  /** What is known of it so far. */
  view?: Invocation;
}

/** An invocation that waits, sleeps or runs: why, with what, and how to go on. */
export function PendingInvocation({ project, invocation, status, view }: Props) {
  const why = useQuery({ ...queries.why(project, invocation), refetchInterval: ASK_MS, retry: false });
  const cancel = useMutation({
    mutationFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/invocations/{invocation}/cancel", {
          params: { path: { project, invocation }, query: { reason: "cancelled in the console" } },
        }),
      ),
    onSuccess: () => say("It was cancelled."),
  });
  const waitsFor = /waits for the signal '([^']+)'/i.exec(why.data?.items[0]?.answer ?? "")?.[1];
  return (
    <Page
      title={
        <span className="flex items-center gap-3">
          {view?.function ?? why.data?.items[0]?.function ?? "Invocation"}
          <StatusMark status={status} filled />
        </span>
      }
      about={<span className="font-mono text-xs">{invocation}</span>}
      actions={
        <>
          <Button look="danger" icon={Ban} busy={cancel.isPending} onClick={() => cancel.mutate()}>
            Cancel
          </Button>
          <CliButton command={command("nexus", "result", invocation, "--follow", ["--project", project])} />
        </>
      }
    >
      {why.data && <WhyBox answers={why.data.items} />}
      <p className="text-sm text-ink-2">It has not ended. Its recording appears here as soon as it has.</p>
      <Signal key={waitsFor} project={project} invocation={invocation} name={waitsFor ?? ""} />
      {view && (
        <Section title="Input">
          <PayloadView payload={payloadOf(view.input)} label="Input" />
        </Section>
      )}
    </Page>
  );
}

function Signal({ project, invocation, name: asked }: { project: string; invocation: string; name: string }) {
  const [name, setName] = useState(asked);
  const [data, setData] = useState("{}");
  const signal = useMutation({
    mutationFn: () =>
      send(`/api/v1/projects/${project}/invocations/${invocation}/signals/${encodeURIComponent(name)}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: data,
      }),
    onSuccess: () => say(`The signal '${name}' is on its way.`),
  });
  return (
    <Section title="Send it a signal" about="A durable function goes on when the signal that it waits for comes">
      <form
        className="flex max-w-lg flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          signal.mutate();
        }}
      >
        <Field label="Name">
          {(id) => <Input id={id} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Data">
          {(id) => <TextArea id={id} value={data} onChange={(event) => setData(event.target.value)} />}
        </Field>
        <Button type="submit" icon={Send} busy={signal.isPending} className="self-start">
          Send the signal
        </Button>
      </form>
    </Section>
  );
}
