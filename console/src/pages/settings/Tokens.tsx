import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link2, Plus, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { Scope } from "~/api/types";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { Ago } from "~/components/Time";
import { useMay } from "~/hooks/useMay";
import { Button, IconButton } from "~/ui/Button";
import { CopyButton } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Checkbox, Field, Input, Select } from "~/ui/fields";
import { Cell, Row, Table } from "~/ui/table";

const SCOPES: [Scope, string][] = [
  ["read", "resources, and metadata of events and invocations"],
  ["read-payload", "payloads of events, invocations, journals and logs; state of functions"],
  ["write", "applying and deleting resources, deploying"],
  ["emit", "appending events"],
  ["invoke", "calling functions"],
  ["replay", "replaying invocations"],
  ["admin", "everything"],
];

const LIFETIMES: [string, number][] = [
  ["for ever", 0],
  ["a day", 86_400],
  ["30 days", 30 * 86_400],
  ["a year", 365 * 86_400],
];

export function Tokens() {
  const tokens = useQuery(queries.tokens());
  const client = useQueryClient();
  const may = useMay();
  const [makes, setMakes] = useState(false);
  const [deletes, setDeletes] = useState<string>();
  const changed = () => client.invalidateQueries({ queryKey: ["tokens"] });
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: (token: string) => take(api.DELETE("/api/v1/tokens/{token}", { params: { path: { token } } })),
    onSuccess: () => {
      setDeletes(undefined);
      return changed();
    },
  });
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center justify-end gap-2">
        <p className="flex-1 text-sm text-ink-2">Only their hashes are kept: the text of a token is shown once.</p>
        <LinkButton />
        <Button icon={Plus} disabledReason={may("admin")} onClick={() => setMakes(true)}>
          Make a token
        </Button>
      </div>
      {tokens.isError && <ProblemLine error={tokens.error} />}
      {tokens.data && (
        <Table label="Tokens" head={[{ label: "Name" }, { label: "Scopes" }, { label: "Project" }, { label: "Ends", right: true }, { label: "Made", right: true }, { label: "Actions", hidden: true }]}>
          {tokens.data.items.map(({ metadata, spec }) => {
            const { scopes, project, expires } = specOf(spec);
            return (
              <Row key={metadata.name}>
                <Cell className="font-medium">{metadata.name}</Cell>
                <Cell className="w-full text-ink-2">{scopes.join(", ")}</Cell>
                <Cell className="text-ink-2">{project ?? "all"}</Cell>
                <Cell right className="text-ink-2">
                  {expires ? <Ago at={expires} /> : "never"}
                </Cell>
                <Cell right className="text-ink-2">
                  {metadata.createdAt && <Ago at={metadata.createdAt} />}
                </Cell>
                <Cell right>
                  <IconButton label={`Delete ${metadata.name}`} icon={Trash2} onClick={() => setDeletes(metadata.name)} />
                </Cell>
              </Row>
            );
          })}
        </Table>
      )}
      {makes && <MakeDialog onClose={() => setMakes(false)} onDone={changed} />}
      {deletes && (
        <ConfirmDialog title={`Delete the token ${deletes}?`} typed={deletes} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate(deletes)} onClose={() => setDeletes(undefined)}>
          It stops working at once, and so do sessions that were opened with it.
        </ConfirmDialog>
      )}
    </div>
  );
}

function specOf(spec: unknown): { scopes: string[]; project?: string; expires?: string } {
  const { scopes, project, expires, expiresAt } = (spec ?? {}) as Record<string, unknown>;
  const ends = expires ?? expiresAt;
  return {
    scopes: Array.isArray(scopes) ? scopes.map(String) : [],
    ...(typeof project === "string" ? { project } : {}),
    ...(typeof ends === "string" ? { expires: ends } : {}),
  };
}

/** Signs in another browser, such as that of a phone, without its ever seeing a token. */
function LinkButton() {
  const link = useMutation({ mutationFn: () => take(api.POST("/api/v1/session/links")) });
  const address = link.data && `${location.origin}${link.data.path}`;
  return (
    <>
      <Button icon={Link2} busy={link.isPending} onClick={() => link.mutate()}>
        Link for another browser
      </Button>
      {address && (
        <Dialog open onClose={() => link.reset()} title="Sign in elsewhere" description="Who opens this link within five minutes is signed in as you. It works once.">
          <Secret text={address} />
        </Dialog>
      )}
    </>
  );
}

function Secret({ text }: { text: string }) {
  return (
    <p className="flex items-center gap-2 rounded-lg bg-sunken px-3 py-2 font-mono text-xs">
      <span className="min-w-0 flex-1 break-all">{text}</span>
      <CopyButton text={text} label="Copy" />
    </p>
  );
}

function MakeDialog({ onClose, onDone }: { onClose: () => void; onDone: () => Promise<void> }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<Scope[]>(["read"]);
  const [project, setProject] = useState("");
  const [lifetime, setLifetime] = useState(0);
  const projects = useQuery(queries.projects());
  const make = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(
        api.POST("/api/v1/tokens", {
          body: { name, scopes, ...(project ? { project } : {}), ...(lifetime ? { ttl_seconds: lifetime } : {}) },
        }),
      ),
    onSuccess: onDone,
  });
  if (make.data)
    return (
      <Dialog open onClose={onClose} title={`The token ${name}`} description="Copy it now: it is not shown again." footer={<Button onClick={onClose}>Done</Button>}>
        <Secret text={make.data.token} />
      </Dialog>
    );
  const toggle = (scope: Scope) => setScopes(scopes.includes(scope) ? scopes.filter((it) => it !== scope) : [...scopes, scope]);
  return (
    <Dialog
      open
      onClose={onClose}
      title="Make a token"
      footer={
        <Button look="solid" busy={make.isPending} disabledReason={name && scopes.length ? undefined : "It needs a name and a scope"} onClick={() => make.mutate()}>
          Make it
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Name">{(id) => <Input id={id} value={name} onChange={(event) => setName(event.target.value)} placeholder="ci" autoFocus />}</Field>
        <fieldset className="flex flex-col gap-2">
          <legend className="mb-1.5 text-xs font-medium text-ink-2">Scopes</legend>
          {SCOPES.map(([scope, what]) => (
            <Checkbox
              key={scope}
              checked={scopes.includes(scope)}
              onChange={() => toggle(scope)}
              label={
                <span>
                  <span className="font-mono text-xs">{scope}</span> <span className="text-xs text-ink-3">{what}</span>
                </span>
              }
            />
          ))}
        </fieldset>
        <div className="grid grid-cols-2 gap-4">
          <Field label="Project">
            {(id) => (
              <Select id={id} value={project} onChange={(event) => setProject(event.target.value)}>
                <option value="">all</option>
                {projects.data?.items.map(({ metadata }) => (
                  <option key={metadata.name}>{metadata.name}</option>
                ))}
              </Select>
            )}
          </Field>
          <Field label="Valid">
            {(id) => (
              <Select id={id} value={lifetime} onChange={(event) => setLifetime(Number(event.target.value))}>
                {LIFETIMES.map(([label, seconds]) => (
                  <option key={label} value={seconds}>
                    {label}
                  </option>
                ))}
              </Select>
            )}
          </Field>
        </div>
        {make.isError && <ProblemLine error={make.error} />}
      </div>
    </Dialog>
  );
}
