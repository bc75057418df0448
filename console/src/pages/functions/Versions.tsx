import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { FlaskConical, MoreHorizontal, Radio, Tag } from "lucide-react";
import { useState } from "react";

import { queries } from "~/api/queries";
import { replays, type NamedVersion } from "~/api/replays";
import type { FunctionView } from "~/api/types";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { Chip } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { useMay } from "~/hooks/useMay";
import { formatBytes } from "~/lib/format";
import { Button, IconButton } from "~/ui/Button";
import { CopyButton } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { Menu, MenuItem } from "~/ui/Menu";
import { Cell, Row, Table } from "~/ui/table";
import { say } from "~/ui/toasts";
import { ReplayDialog } from "../replays/ReplayDialog";

interface Opened {
  what: "live" | "alias" | "replay";
  version: NamedVersion;
}

/** All versions of a function; what ran stays with the version that ran it. */
export function Versions({ project, view }: { project: string; view: FunctionView }) {
  const versions = useQuery(queries.versions(project, view.name));
  const [opened, setOpened] = useState<Opened>();
  const may = useMay();
  const close = () => setOpened(undefined);
  if (versions.isError) return <ProblemLine error={versions.error} />;
  return (
    <>
      <Table
        label="Versions"
        head={[{ label: "Version" }, { label: "Component" }, { label: "Imports" }, { label: "Size", right: true }, { label: "Deployed", right: true }, { label: "Actions", hidden: true }]}
      >
        {versions.data?.items.map((version: NamedVersion) => (
          <Row key={version.id}>
            <Cell className="font-medium whitespace-nowrap">
              <span className="flex items-center gap-1.5">
                v{version.number}
                {version.label && <span className="font-normal text-ink-3">{version.label}</span>}
                {version.id === view.version?.id && <Chip tone="ok">live</Chip>}
                {version.aliases?.map((alias) => (
                  <Chip key={alias} icon={Tag}>
                    {alias}
                  </Chip>
                ))}
              </span>
            </Cell>
            <Cell className="whitespace-nowrap">
              <span className="flex items-center gap-1 font-mono text-xs text-ink-2">
                {version.component.slice(0, 19)}…
                <CopyButton text={version.component} label="Copy the digest" />
              </span>
            </Cell>
            <Cell className="w-full max-w-0 truncate font-mono text-2xs text-ink-3" title={version.imports.join("\n")}>
              {version.imports.join(", ")}
            </Cell>
            <Cell right>{formatBytes(version.component_bytes)}</Cell>
            <Cell right className="text-ink-2">
              <Ago at={version.created} />
            </Cell>
            <Cell right>
              <span className="flex items-center justify-end gap-2">
                <Link to="/p/$project/invocations" params={{ project }} search={{ function: view.name, version: version.id }} className="text-xs link">
                  Invocations
                </Link>
                <Menu trigger={<IconButton label={`What to do with v${version.number}`} icon={MoreHorizontal} />}>
                  <MenuItem
                    icon={Radio}
                    disabled={version.id === view.version?.id || may("write") !== undefined}
                    onSelect={() => setOpened({ what: "live", version })}
                  >
                    Make it live
                  </MenuItem>
                  <MenuItem icon={Tag} disabled={may("write") !== undefined} onSelect={() => setOpened({ what: "alias", version })}>
                    Give it a name
                  </MenuItem>
                  <MenuItem icon={FlaskConical} disabled={may("replay") !== undefined} onSelect={() => setOpened({ what: "replay", version })}>
                    Replay recordings against it
                  </MenuItem>
                </Menu>
              </span>
            </Cell>
          </Row>
        ))}
      </Table>
      {opened?.what === "live" && <MakeLive project={project} name={view.name} version={opened.version} onClose={close} />}
      {opened?.what === "alias" && <SetAlias project={project} name={view.name} version={opened.version} onClose={close} />}
      {opened?.what === "replay" && <ReplayDialog project={project} name={view.name} against={String(opened.version.number)} onClose={close} />}
    </>
  );
}

interface OfVersion {
  project: string;
  name: string;
  version: NamedVersion;
  onClose: () => void;
}

function MakeLive({ project, name, version, onClose }: OfVersion) {
  const client = useQueryClient();
  const make = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => replays.makeLive(project, name, String(version.number)),
    onSuccess: () => {
      say(`Version ${version.number} of ${name} is live.`);
      onClose();
      return client.invalidateQueries({ queryKey: [project, "functions"] });
    },
  });
  return (
    <ConfirmDialog title={`Make version ${version.number} live?`} verb="Make it live" busy={make.isPending} error={make.error} onConfirm={() => make.mutate()} onClose={onClose}>
      Calls that begin from now on run it, with its configuration. Calls that run finish with the version that they began with.
    </ConfirmDialog>
  );
}

function SetAlias({ project, name, version, onClose }: OfVersion) {
  const client = useQueryClient();
  const [alias, setAlias] = useState("");
  const set = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => replays.setAlias(project, name, alias, String(version.number)),
    onSuccess: () => {
      say(`${alias} is version ${version.number} now.`);
      onClose();
      return client.invalidateQueries({ queryKey: [project, "functions"] });
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`A name for version ${version.number}`}
      description="A name that another version has moves to this one."
      footer={
        <Button look="solid" busy={set.isPending} disabledReason={alias ? undefined : "Type the name first"} onClick={() => set.mutate()}>
          Set it
        </Button>
      }
    >
      <Field label="Name">{(id) => <Input id={id} value={alias} onChange={(event) => setAlias(event.target.value)} placeholder="stable" autoFocus />}</Field>
      {set.isError && <ProblemLine error={set.error} />}
    </Dialog>
  );
}
