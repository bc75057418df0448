import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { FileJson2, Sparkles, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { SchemaView } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { JsonView } from "~/components/JsonView";
import { ProblemLine, ProblemView } from "~/components/ProblemView";
import { Chip } from "~/components/StatusMark";
import { command, curl } from "~/lib/cli";
import type { Json } from "~/lib/diff";
import { formatCount } from "~/lib/format";
import { Button, IconButton } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { cx } from "~/ui/cx";
import { Dialog } from "~/ui/Dialog";
import { Field, Input, Select } from "~/ui/fields";
import { Empty, Loading, Page } from "~/ui/layout";
import { say } from "~/ui/toasts";
import { useEventTypes } from "../events/EventFilterBar";

export function SchemasPage() {
  const { project } = useParams({ from: "/p/$project/schemas" });
  const search = useSearch({ from: "/p/$project/schemas" });
  const navigate = useNavigate({ from: "/p/$project/schemas" });
  const schemas = useQuery(queries.schemas(project));
  const [infers, setInfers] = useState(false);
  const chosen = schemas.data?.items.find((it) => it.name === search.name) ?? schemas.data?.items[0];
  return (
    <Page
      title="Schemas"
      about="What the data of events looks like. Events are held against them when they are accepted."
      actions={
        <>
          <CliButton
            command={command("nexus", "schemas", ["--project", project])}
            request={curl(location.origin, `/api/v1/projects/${project}/schemas`)}
          />
          <Button icon={Sparkles} onClick={() => setInfers(true)}>
            Propose one
          </Button>
        </>
      }
    >
      {schemas.isPending && <Loading />}
      {schemas.isError && <ProblemView error={schemas.error} onRetry={() => void schemas.refetch()} />}
      {schemas.data?.items.length === 0 && (
        <Empty icon={FileJson2} title="No schema yet">
          <p>Let events come for a while, then ask what they look like. Types without a schema are never refused.</p>
          <Command text={command("nexus", "schemas", "infer", "com.shop.order.created", ["--project", project])} />
        </Empty>
      )}
      {chosen && (
        <div className="grid gap-6 lg:grid-cols-[16rem_1fr]">
          <ul aria-label="Schemas" className="flex flex-col gap-1">
            {schemas.data?.items.map((schema) => (
              <li key={schema.name}>
                <button
                  type="button"
                  aria-pressed={schema === chosen}
                  onClick={() => void navigate({ search: { name: schema.name }, replace: true })}
                  className={cx("w-full rounded-md px-3 py-2 text-left", schema === chosen ? "bg-pressed" : "hover:bg-hover")}
                >
                  <span className="block truncate text-sm font-medium">{schema.name}</span>
                  <span className="block truncate font-mono text-2xs text-ink-3">{schema.type}</span>
                </button>
              </li>
            ))}
          </ul>
          <OneSchema key={chosen.name} project={project} schema={chosen} />
        </div>
      )}
      {infers && <InferDialog project={project} onClose={() => setInfers(false)} />}
    </Page>
  );
}

function OneSchema({ project, schema }: { project: string; schema: SchemaView }) {
  const resource = useQuery(queries.schemaResource(project, schema.name));
  const client = useQueryClient();
  const [version, setVersion] = useState(Math.max(...schema.versions));
  const [deletes, setDeletes] = useState(false);
  const versions = (resource.data?.spec as { versions?: Record<string, Json> } | undefined)?.versions;
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(api.DELETE("/api/v1/projects/{project}/schemas/{schema}", { params: { path: { project, schema: schema.name } } })),
    onSuccess: () => {
      say(`The schema ${schema.name} is deleted.`);
      setDeletes(false);
      return client.invalidateQueries({ queryKey: [project, "schemas"] });
    },
  });
  const mode = { off: "events are not looked at", warn: "breaches are reported", enforce: "breaches are refused" }[schema.mode];
  return (
    <div className="flex min-w-0 flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <h2 className="font-mono text-sm font-medium">{schema.type}</h2>
        <Chip tone={schema.mode === "enforce" ? "ok" : "mute"}>{mode}</Chip>
        <Chip>{`compatibility: ${schema.compatibility}`}</Chip>
        <span className="ml-auto flex items-center gap-2">
          <Select aria-label="Version" value={version} onChange={(event) => setVersion(Number(event.target.value))} className="w-32">
            {schema.versions.map((it) => (
              <option key={it} value={it}>
                version {it}
              </option>
            ))}
          </Select>
          <IconButton label="Delete the schema" icon={Trash2} onClick={() => setDeletes(true)} />
        </span>
      </div>
      {schema.description && <p className="text-sm text-ink-2">{schema.description}</p>}
      {resource.isError && <ProblemLine error={resource.error} />}
      {versions?.[version] !== undefined && <JsonView value={versions[version]} label={`schema ${schema.name}`} />}
      {deletes && (
        <ConfirmDialog title={`Delete the schema ${schema.name}?`} typed={schema.name} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeletes(false)}>
          Events of the type {schema.type} are not looked at any more.
        </ConfirmDialog>
      )}
    </div>
  );
}

/** What the recorded events of a type have in common. */
function InferDialog({ project, onClose }: { project: string; onClose: () => void }) {
  const types = useEventTypes(project);
  const [type, setType] = useState("");
  const infer = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(api.GET("/api/v1/projects/{project}/schemas/infer", { params: { path: { project }, query: { type } } })),
  });
  return (
    <Dialog open wide onClose={onClose} title="Propose a schema" description="From the events of a type that were recorded. Read it, keep what is meant, and name it in nexus.toml.">
      <form
        className="flex items-end gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          infer.mutate();
        }}
      >
        <div className="flex-1">
          <Field label="Type of the events">
            {(id) => (
              <>
                <Input id={id} required value={type} onChange={(event) => setType(event.target.value)} list={`${id}-types`} autoFocus />
                <datalist id={`${id}-types`}>
                  {types.map((it) => (
                    <option key={it} value={it} />
                  ))}
                </datalist>
              </>
            )}
          </Field>
        </div>
        <Button type="submit" icon={Sparkles} busy={infer.isPending}>
          Propose
        </Button>
      </form>
      <div className="mt-4 flex flex-col gap-3">
        {infer.isError && <ProblemLine error={infer.error} />}
        {infer.data && (
          <>
            <p className="text-xs text-ink-3">From {formatCount(infer.data.events)} events</p>
            <JsonView value={infer.data.schema as Json} label="the proposed schema" />
            <Command text={command("nexus", "schemas", "infer", type, ["--project", project], "--save", "schema.json")} />
          </>
        )}
      </div>
    </Dialog>
  );
}
