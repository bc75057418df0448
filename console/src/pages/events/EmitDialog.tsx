import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleAlert, CircleCheck, Send } from "lucide-react";
import { useDeferredValue, useState } from "react";

import { api, send, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { CloudEvent } from "~/api/types";
import { JsonEditor, jsonProblem } from "~/components/JsonEditor";
import { ProblemLine } from "~/components/ProblemView";
import { command } from "~/lib/cli";
import { exampleOf } from "~/lib/example";
import { matchesPattern } from "~/lib/pattern";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { say } from "~/ui/toasts";
import { useEventTypes } from "./EventFilterBar";

interface Props {
  project: string;
  onClose: () => void;
  /** An event to begin with. */
  like?: CloudEvent;
}

/** Sends an event, with help from the schema of its type. */
export function EmitDialog({ project, onClose, like }: Props) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const types = useEventTypes(project);
  const [type, setType] = useState(like?.type ?? "");
  const [source, setSource] = useState(like?.source ?? "/console");
  const [subject, setSubject] = useState(like?.subject ?? "");
  const [data, setData] = useState(like?.data === undefined ? "{}" : JSON.stringify(like.data, null, 2));
  const problem = jsonProblem(data);
  const emit = useMutation({
    meta: { shownInPlace: true },
    mutationFn: async () => {
      const event = eventOf({ type, source, subject, data });
      const response = await send(`/api/v1/projects/${project}/events`, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json" },
        body: JSON.stringify(event),
      });
      return (await response.json()) as { events: { id: string; warning?: string | null }[] };
    },
    onSuccess: async ({ events }) => {
      const [accepted] = events;
      if (!accepted) return;
      say(accepted.warning ? `On disk, but: ${accepted.warning}` : "The event is on disk.", !accepted.warning);
      onClose();
      await client.invalidateQueries({ queryKey: [project, "events"] });
      await navigate({ to: "/p/$project/events/$event", params: { project, event: accepted.id } });
    },
  });
  return (
    <Dialog
      open
      shape="side"
      onClose={onClose}
      title={like ? "Send it again, changed" : "Emit an event"}
      description="It is on disk before it is accepted. Then every function that asked for its type gets it."
      footer={
        <Button
          look="solid"
          icon={Send}
          busy={emit.isPending}
          disabledReason={type ? (problem ? "The data is no JSON" : undefined) : "An event needs a type"}
          onClick={() => emit.mutate()}
        >
          Emit
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Type" hint={<Handlers project={project} type={type} />}>
          {(id) => (
            <>
              <Input
                id={id}
                value={type}
                onChange={(event) => setType(event.target.value)}
                list={`${id}-types`}
                placeholder="com.shop.order.created"
                autoComplete="off"
                autoFocus={!like}
              />
              <datalist id={`${id}-types`}>
                {types
                  .filter((known) => !known.endsWith("*"))
                  .map((known) => (
                    <option key={known} value={known} />
                  ))}
              </datalist>
            </>
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Source">{(id) => <Input id={id} value={source} onChange={(event) => setSource(event.target.value)} />}</Field>
          <Field label="Subject">
            {(id) => <Input id={id} value={subject} placeholder="optional" onChange={(event) => setSubject(event.target.value)} />}
          </Field>
        </div>
        <div className="flex flex-col gap-1.5">
          <div className="flex items-center justify-between text-xs font-medium text-ink-2">
            Data
            <ExampleButton project={project} type={type} onExample={setData} />
          </div>
          <JsonEditor label="Data" value={data} onChange={setData} />
          {problem ? <p className="text-xs text-bad">{problem}</p> : <SchemaVerdict project={project} type={type} data={data} />}
        </div>
        {emit.isError && <ProblemLine error={emit.error} />}
        <Command text={command("nexus", "emit", type || "TYPE", ["--project", project], ["--source", source], ["--subject", subject], ["-d", data.replaceAll(/\s*\n\s*/g, " ")])} />
      </div>
    </Dialog>
  );
}

function eventOf({ type, source, subject, data }: { type: string; source: string; subject: string; data: string }) {
  const body = data.trim();
  return {
    specversion: "1.0",
    id: crypto.randomUUID(),
    source: source || "/console",
    type,
    time: new Date().toISOString(),
    ...(subject && { subject }),
    ...(body && { datacontenttype: "application/json", data: JSON.parse(body) as unknown }),
  };
}

function Handlers({ project, type }: { project: string; type: string }) {
  const triggers = useQuery(queries.triggers(project));
  if (!type || !triggers.data) return null;
  const names = triggers.data.items
    .filter((trigger) => trigger.event && (!trigger.event.type || matchesPattern(trigger.event.type, type)))
    .map((trigger) => trigger.function);
  const handlers = [...new Set(names)];
  return handlers.length ? `May be handled by ${handlers.join(", ")}.` : "No function asks for this type: it is kept, and nothing happens.";
}

function useSchemaOf(project: string, type: string): unknown {
  const schemas = useQuery(queries.schemas(project));
  const known = schemas.data?.items.find((schema) => schema.type === type);
  const resource = useQuery({ ...queries.schemaResource(project, known?.name ?? ""), enabled: Boolean(known) });
  const versions = (resource.data?.spec as { versions?: Record<string, unknown> } | undefined)?.versions;
  return known && versions ? versions[String(Math.max(...known.versions))] : undefined;
}

function ExampleButton({ project, type, onExample }: { project: string; type: string; onExample: (text: string) => void }) {
  const schema = useSchemaOf(project, type);
  if (schema === undefined) return null;
  return (
    <button type="button" className="text-accent hover:underline" onClick={() => onExample(JSON.stringify(exampleOf(schema), null, 2))}>
      Fill in an example of its schema
    </button>
  );
}

/** Whether the data fits the schema of the type, as the server sees it. */
function SchemaVerdict({ project, type, data }: { project: string; type: string; data: string }) {
  const text = useDeferredValue(data);
  const schemas = useQuery(queries.schemas(project));
  const known = schemas.data?.items.some((schema) => schema.type === type);
  const check = useQuery({
    queryKey: [project, "schemas", "check", type, text],
    enabled: Boolean(known) && jsonProblem(text) === undefined,
    placeholderData: (before) => before,
    queryFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/schemas/check", {
          params: { path: { project } },
          headers: { "content-type": "application/cloudevents+json" },
          body: eventOf({ type, source: "/console", subject: "", data: text }) as CloudEvent,
        }),
      ),
  });
  if (!known || !check.data) return null;
  const good = check.data.valid;
  const Icon = good ? CircleCheck : CircleAlert;
  return (
    <p role="status" className={good ? "flex items-center gap-1.5 text-xs text-ok" : "flex items-center gap-1.5 text-xs text-warn"}>
      <Icon aria-hidden className="size-3.5 shrink-0" />
      {good ? "It fits its schema." : check.data.breach}
    </p>
  );
}
