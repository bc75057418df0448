import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, send, take } from "~/api/client";
import { queries } from "~/api/queries";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { Ago } from "~/components/Time";
import { useMay } from "~/hooks/useMay";
import { command } from "~/lib/cli";
import { Button, IconButton } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Field, Input, TextArea } from "~/ui/fields";
import { Empty } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { say } from "~/ui/toasts";

/** The names of secrets. Their values go in and never come out. */
export function Secrets({ project }: { project: string }) {
  const secrets = useQuery(queries.secrets(project));
  const client = useQueryClient();
  const may = useMay();
  const [sets, setSets] = useState<string>();
  const [deletes, setDeletes] = useState<string>();
  const changed = () => client.invalidateQueries({ queryKey: [project, "secrets"] });
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: (secret: string) =>
      take(api.DELETE("/api/v1/projects/{project}/secrets/{secret}", { params: { path: { project, secret } } })),
    onSuccess: () => {
      setDeletes(undefined);
      return changed();
    },
  });
  return (
    <div className="flex flex-col gap-3">
      <div className="flex items-center justify-between gap-4">
        <p className="text-sm text-ink-2">Functions get them as variables. Recordings hold their names, never their values.</p>
        <Button icon={Plus} disabledReason={may("write")} onClick={() => setSets("")}>
          Set a secret
        </Button>
      </div>
      {secrets.isError && <ProblemLine error={secrets.error} />}
      {secrets.data?.items.length === 0 && (
        <Empty icon={KeyRound} title="No secret yet">
          <Command text={command("nexus", "secrets", "set", "api-key", ["--project", project])} />
        </Empty>
      )}
      {secrets.data && secrets.data.items.length > 0 && (
        <Table label="Secrets" head={[{ label: "Name" }, { label: "Changed", right: true }, { label: "Actions", hidden: true }]}>
          {secrets.data.items.map(({ metadata }) => (
            <Row key={metadata.name}>
              <Cell className="w-full font-mono text-xs">{metadata.name}</Cell>
              <Cell right className="text-ink-2">
                {metadata.updatedAt && <Ago at={metadata.updatedAt} />}
              </Cell>
              <Cell right>
                <span className="flex justify-end">
                  <Button size="sm" look="ghost" disabledReason={may("write")} onClick={() => setSets(metadata.name)}>
                    New value
                  </Button>
                  <IconButton label={`Delete ${metadata.name}`} icon={Trash2} onClick={() => setDeletes(metadata.name)} />
                </span>
              </Cell>
            </Row>
          ))}
        </Table>
      )}
      {sets !== undefined && <SetDialog project={project} name={sets} onClose={() => setSets(undefined)} onDone={changed} />}
      {deletes && (
        <ConfirmDialog title={`Delete ${deletes}?`} typed={deletes} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate(deletes)} onClose={() => setDeletes(undefined)}>
          All its values are destroyed. Recordings that used them cannot be replayed any more.
        </ConfirmDialog>
      )}
    </div>
  );
}

function SetDialog({ project, name: known, onClose, onDone }: { project: string; name: string; onClose: () => void; onDone: () => Promise<void> }) {
  const [name, setName] = useState(known);
  const [value, setValue] = useState("");
  const set = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      send(`/api/v1/projects/${project}/secrets/${encodeURIComponent(name)}`, {
        method: "PUT",
        headers: { "content-type": "application/octet-stream" },
        body: value,
      }),
    onSuccess: () => {
      say(`${name} has a new value. Calls that begin now get it.`);
      onClose();
      return onDone();
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={known ? `A new value for ${known}` : "Set a secret"}
      footer={
        <Button look="solid" busy={set.isPending} disabledReason={name && value ? undefined : "It needs a name and a value"} onClick={() => set.mutate()}>
          Set
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        {!known && (
          <Field label="Name">
            {(id) => <Input id={id} value={name} onChange={(event) => setName(event.target.value)} placeholder="api-key" autoFocus autoComplete="off" />}
          </Field>
        )}
        <Field label="Value" hint="It is encrypted with the server's key and never shown again.">
          {(id) => <TextArea id={id} value={value} onChange={(event) => setValue(event.target.value)} autoComplete="off" spellCheck={false} />}
        </Field>
        {set.isError && <ProblemLine error={set.error} />}
      </div>
    </Dialog>
  );
}
