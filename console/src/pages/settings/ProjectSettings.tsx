import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Plus, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { Resource } from "~/api/types";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { useMay } from "~/hooks/useMay";
import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input, Select } from "~/ui/fields";
import { Section } from "~/ui/layout";
import { say } from "~/ui/toasts";

const MODES = [
  ["off", "do not look at events"],
  ["warn", "accept events that break their schema, and say so"],
  ["enforce", "refuse events that break their schema"],
] as const;
type Mode = (typeof MODES)[number][0];

interface Spec {
  description?: string;
  default?: boolean;
  schemas?: Mode;
}

export function ProjectSettings({ project }: { project: string }) {
  const projects = useQuery(queries.projects());
  const found = projects.data?.items.find(({ metadata }) => metadata.name === project);
  const [opened, setOpened] = useState<"new" | "delete">();
  const may = useMay();
  return (
    <div className="flex max-w-xl flex-col gap-8">
      {projects.isError && <ProblemLine error={projects.error} />}
      {found && <Form key={found.metadata.revision} project={project} resource={found} />}
      <Section title="Other projects">
        <Button icon={Plus} disabledReason={may("write")} onClick={() => setOpened("new")}>
          Make a project
        </Button>
      </Section>
      <Section title="Delete">
        <div className="flex flex-wrap items-center justify-between gap-3 rounded-lg border border-bad/35 px-4 py-3 text-sm">
          <span className="text-ink-2">The project goes with its functions, triggers and secrets. The log stays.</span>
          <Button look="danger" icon={Trash2} disabledReason={may("write")} onClick={() => setOpened("delete")}>
            Delete {project}
          </Button>
        </div>
      </Section>
      {opened === "new" && <NewProject onClose={() => setOpened(undefined)} />}
      {opened === "delete" && <DeleteProject project={project} onClose={() => setOpened(undefined)} />}
    </div>
  );
}

function Form({ project, resource }: { project: string; resource: Resource }) {
  const spec = (resource.spec ?? {}) as Spec;
  const [description, setDescription] = useState(spec.description ?? "");
  const [mode, setMode] = useState<Mode>(spec.schemas ?? "off");
  const client = useQueryClient();
  const may = useMay();
  const save = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(
        api.PUT("/api/v1/projects/{project}", {
          params: { path: { project } },
          body: { ...spec, description, schemas: mode },
        }),
      ),
    onSuccess: () => {
      say("Saved.");
      return client.invalidateQueries({ queryKey: ["projects"] });
    },
  });
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Field label="Description">{(id) => <Input id={id} value={description} onChange={(event) => setDescription(event.target.value)} />}</Field>
      <Field label="Schemas">
        {(id) => (
          <Select id={id} value={mode} onChange={(event) => setMode(MODES.find(([it]) => it === event.target.value)?.[0] ?? "off")}>
            {MODES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {save.isError && <ProblemLine error={save.error} />}
      <Button type="submit" look="solid" busy={save.isPending} disabledReason={may("write")} className="self-start">
        Save
      </Button>
    </form>
  );
}

function NewProject({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const navigate = useNavigate();
  const client = useQueryClient();
  const make = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => take(api.PUT("/api/v1/projects/{project}", { params: { path: { project: name } }, body: {} })),
    onSuccess: async () => {
      onClose();
      await client.invalidateQueries({ queryKey: ["projects"] });
      await navigate({ to: "/p/$project", params: { project: name } });
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title="Make a project"
      description="A project has functions, events and secrets of its own, and answers on a host of its own."
      footer={
        <Button look="solid" busy={make.isPending} disabledReason={name ? undefined : "It needs a name"} onClick={() => make.mutate()}>
          Make it
        </Button>
      }
    >
      <Field label="Name" hint="Small letters, digits and hyphens">
        {(id) => <Input id={id} value={name} onChange={(event) => setName(event.target.value)} autoFocus />}
      </Field>
      {make.isError && <ProblemLine error={make.error} />}
    </Dialog>
  );
}

function DeleteProject({ project, onClose }: { project: string; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => take(api.DELETE("/api/v1/projects/{project}", { params: { path: { project } } })),
    onSuccess: async () => {
      client.removeQueries({ queryKey: ["projects"] });
      await navigate({ to: "/" });
    },
  });
  return (
    <ConfirmDialog title={`Delete ${project}?`} typed={project} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={onClose}>
      Its functions stop answering at once. What they did stays in the log until retention removes it.
    </ConfirmDialog>
  );
}
