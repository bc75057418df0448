import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { CalendarClock, Globe, Pause, Play, Trash2, Webhook, X, Zap, type LucideIcon } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { TriggerView } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemView } from "~/components/ProblemView";
import { Chip, StatusMark } from "~/components/StatusMark";
import { Ago, Clock } from "~/components/Time";
import { command, curl } from "~/lib/cli";
import { formatCount } from "~/lib/format";
import { IconButton } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Empty, Loading, Page, Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { say } from "~/ui/toasts";

export function TriggersPage() {
  const { project } = useParams({ from: "/p/$project/triggers" });
  const triggers = useQuery(queries.triggers(project));
  const [deletes, setDeletes] = useState<TriggerView>();
  return (
    <Page
      title="Triggers"
      about="What calls the functions: events, requests, times and webhooks."
      actions={
        <CliButton
          command={command("nexus", "triggers", ["--project", project])}
          request={curl(location.origin, `/api/v1/projects/${project}/triggers`)}
        />
      }
    >
      {triggers.isPending && <Loading />}
      {triggers.isError && <ProblemView error={triggers.error} onRetry={() => void triggers.refetch()} />}
      {triggers.data?.items.length === 0 && (
        <Empty icon={Zap} title="Nothing calls a function yet">
          <p>A function names its triggers in nexus.toml. They take effect when it is deployed.</p>
          <Command text={'[functions.orders]\nevents = ["com.shop.order.*"]\nhttp = { path = "/orders", auth = "token" }'} label="Copy the lines" prompt={false} />
        </Empty>
      )}
      {triggers.data && triggers.data.items.length > 0 && (
        <Table
          label="Triggers"
          head={[{ label: "Called by" }, { label: "Function" }, { label: "Declared" }, { label: "Last" }, { label: "Next" }, { label: "Waiting", right: true }, { label: "Actions", hidden: true }]}
        >
          {triggers.data.items.map((trigger, index) => (
            <TriggerRow key={`${trigger.function}-${trigger.name}-${index}`} project={project} trigger={trigger} onDelete={() => setDeletes(trigger)} />
          ))}
        </Table>
      )}
      <Schedules project={project} />
      {deletes?.name && <DeleteTrigger project={project} name={deletes.name} onClose={() => setDeletes(undefined)} />}
    </Page>
  );
}

function kindOf(trigger: TriggerView): [LucideIcon, string, string] {
  if (trigger.http) return [Globe, trigger.http.path, [trigger.http.methods?.join(", ") || "any method", trigger.http.auth === "none" ? "open to everybody" : "with a token"].join(", ")];
  if (trigger.cron) return [CalendarClock, trigger.cron.schedule, trigger.cron.zone ?? "UTC"];
  if (trigger.webhook) return [Webhook, trigger.webhook.path, `verified: ${trigger.webhook.verify ?? "standard"}`];
  const { type, source, subject, filters } = trigger.event ?? {};
  const more = [source && `source ${source}`, subject && `subject ${subject}`, filters?.length && JSON.stringify(filters)];
  return [Zap, type ?? "any event", more.filter(Boolean).join(", ")];
}

function TriggerRow({ project, trigger, onDelete }: { project: string; trigger: TriggerView; onDelete: () => void }) {
  const client = useQueryClient();
  const [Icon, text, more] = kindOf(trigger);
  const { name } = trigger;
  const toggle = useMutation({
    mutationFn: (trigger: string) => {
      const options = { params: { path: { project, trigger } } };
      return take<unknown>(
        paused
          ? api.POST("/api/v1/projects/{project}/triggers/{trigger}/resume", options)
          : api.POST("/api/v1/projects/{project}/triggers/{trigger}/pause", options),
      );
    },
    onSuccess: () => {
      say(paused ? "It goes on." : "It is paused: its events wait.");
      return client.invalidateQueries({ queryKey: [project, "triggers"] });
    },
  });
  const paused = trigger.paused ?? false;
  return (
    <Row>
      <Cell className="w-full max-w-0 min-w-60 py-2">
        <span className="flex items-center gap-2.5">
          <Icon aria-hidden className="size-4 shrink-0 text-ink-3" />
          <span className="min-w-0">
            <span className="flex items-center gap-2">
              <span className="truncate font-mono text-xs">{text}</span>
              {paused && <Chip tone="warn">paused</Chip>}
            </span>
            <span className="block truncate text-xs text-ink-3" title={more}>
              {trigger.description || more}
            </span>
          </span>
        </span>
      </Cell>
      <Cell className="font-medium">
        <Link to="/p/$project/functions/$function" params={{ project, function: trigger.function }} className="hover:underline">
          {trigger.function}
        </Link>
      </Cell>
      <Cell className="whitespace-nowrap text-ink-2">{name ?? "by the function"}</Cell>
      <Cell className="whitespace-nowrap">
        {trigger.last ? (
          <Link
            to="/p/$project/invocations/$invocation"
            params={{ project, invocation: trigger.last.invocation }}
            className="inline-flex items-center gap-2 text-ink-2 hover:underline"
          >
            <StatusMark status={trigger.last.status} />
            <Ago at={trigger.last.at} />
          </Link>
        ) : (
          <span className="text-ink-3">never</span>
        )}
      </Cell>
      <Cell className="text-ink-2">{trigger.next && <Ago at={trigger.next} />}</Cell>
      <Cell right>{trigger.pending ? formatCount(trigger.pending) : ""}</Cell>
      <Cell right>
        {name && (
          <span className="flex justify-end">
            <IconButton label={paused ? `Resume ${name}` : `Pause ${name}`} icon={paused ? Play : Pause} onClick={() => toggle.mutate(name)} />
            <IconButton label={`Delete ${name}`} icon={Trash2} onClick={onDelete} />
          </span>
        )}
      </Cell>
    </Row>
  );
}

function DeleteTrigger({ project, name, onClose }: { project: string; name: string; onClose: () => void }) {
  const client = useQueryClient();
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => take(api.DELETE("/api/v1/projects/{project}/triggers/{trigger}", { params: { path: { project, trigger: name } } })),
    onSuccess: () => {
      say(`The trigger ${name} is deleted.`);
      onClose();
      return client.invalidateQueries({ queryKey: [project, "triggers"] });
    },
  });
  return (
    <ConfirmDialog title={`Delete the trigger ${name}?`} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={onClose}>
      What waits for it is not delivered any more. Where nexus.toml declares it, the next deployment makes it again.
    </ConfirmDialog>
  );
}

/** Events that happen later. */
function Schedules({ project }: { project: string }) {
  const client = useQueryClient();
  const schedules = useQuery(queries.schedules(project));
  const cancel = useMutation({
    mutationFn: (schedule: string) =>
      take(api.DELETE("/api/v1/projects/{project}/schedules/{schedule}", { params: { path: { project, schedule } } })),
    onSuccess: () => {
      say("It does not happen.");
      return client.invalidateQueries({ queryKey: [project, "schedules"] });
    },
  });
  if (!schedules.data?.items.length) return null;
  return (
    <Section title="Later" about="Events that happen at a time">
      <Table label="Scheduled events" head={[{ label: "Due" }, { label: "At" }, { label: "Type" }, { label: "For" }, { label: "Actions", hidden: true }]}>
        {schedules.data.items.map((schedule) => (
          <Row key={schedule.id}>
            <Cell className="whitespace-nowrap">
              <Ago at={schedule.due} />
            </Cell>
            <Cell className="text-ink-2">
              <Clock at={schedule.due} />
            </Cell>
            <Cell className="w-full font-mono text-xs">{schedule.event.type}</Cell>
            <Cell className="whitespace-nowrap text-ink-2">{schedule.target || "whoever asks for it"}</Cell>
            <Cell right>
              <IconButton label="Take it back" icon={X} onClick={() => cancel.mutate(schedule.id)} />
            </Cell>
          </Row>
        ))}
      </Table>
    </Section>
  );
}
