import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { FileBox, Upload } from "lucide-react";
import { useState } from "react";

import { send } from "~/api/client";
import type { Deployed } from "~/api/types";
import { ProblemLine } from "~/components/ProblemView";
import { command } from "~/lib/cli";
import { formatBytes } from "~/lib/format";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Checkbox, Field, Input } from "~/ui/fields";
import { say } from "~/ui/toasts";

interface Props {
  project: string;
  file?: File;
  /** A new version of this function: what calls it stays. */
  name?: string;
  onClose: () => void;
}

/** Deploys a component. It is compiled before it is live, so no call ever waits for that. */
export function DeployDialog({ project, file: dropped, name: known, onClose }: Props) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [file, setFile] = useState(dropped);
  const [name, setName] = useState(known ?? nameOf(dropped));
  const [path, setPath] = useState("");
  const [open, setOpen] = useState(false);
  const [type, setType] = useState("");
  const deploy = useMutation({
    meta: { shownInPlace: true },
    mutationFn: async (component: File) => {
      const on = {
        ...(path && { http: [{ path, auth: open ? "none" : "token" }] }),
        ...(type && { events: [{ type }] }),
      };
      const url = `/api/v1/projects/${project}/functions/${encodeURIComponent(name)}/deploy`;
      // A component alone makes a new version; with a part `spec` what is declared is replaced, too.
      const plain = known || Object.keys(on).length === 0;
      const response = plain
        ? await send(url, { method: "POST", headers: { "content-type": "application/wasm" }, body: component })
        : await send(url, { method: "POST", body: parts(component, on) });
      return (await response.json()) as Deployed;
    },
    onSuccess: async (deployed) => {
      const number = deployed.function.version?.number ?? 1;
      say(deployed.unchanged ? "It is the same component: nothing changed." : `${name} version ${number} is live, compiled in ${deployed.compile_ms} ms.`);
      onClose();
      await client.invalidateQueries({ queryKey: [project, "functions"] });
      await navigate({ to: "/p/$project/functions/$function", params: { project, function: name } });
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={known ? `Deploy a new version of ${known}` : "Deploy a component"}
      description="A WebAssembly component of WASI 0.2. It is compiled first, then it takes over; calls that run finish with the old one."
      footer={
        <Button
          look="solid"
          icon={Upload}
          busy={deploy.isPending}
          disabledReason={file ? (name ? undefined : "The function needs a name") : "Choose a file first"}
          onClick={() => file && deploy.mutate(file)}
        >
          {deploy.isPending ? "Compiling…" : "Deploy"}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <label className="flex cursor-pointer items-center gap-3 rounded-lg border border-dashed border-line-strong px-4 py-5 text-sm hover:bg-hover has-focus-visible:outline-2 has-focus-visible:outline-accent">
          <FileBox aria-hidden className="size-5 text-ink-3" />
          {file ? (
            <span className="min-w-0 flex-1 truncate">
              <span className="font-medium">{file.name}</span> <span className="text-ink-3">{formatBytes(file.size)}</span>
            </span>
          ) : (
            <span className="flex-1 text-ink-2">Drop a component here, or choose a file</span>
          )}
          <input
            type="file"
            accept=".wasm,application/wasm"
            className="sr-only"
            onChange={(event) => {
              const [chosen] = event.target.files ?? [];
              if (!chosen) return;
              setFile(chosen);
              if (!name) setName(nameOf(chosen));
            }}
          />
        </label>
        {!known && (
          <>
            <Field label="Name" hint="A function of this name gets a new version; otherwise it is made.">
              {(id) => <Input id={id} value={name} onChange={(event) => setName(event.target.value)} placeholder="hello" />}
            </Field>
            <div className="grid gap-4 sm:grid-cols-2">
              <Field label="Path, for HTTP functions">
                {(id) => <Input id={id} value={path} onChange={(event) => setPath(event.target.value)} placeholder="/hello" />}
              </Field>
              <Field label="Event type, for event functions">
                {(id) => <Input id={id} value={type} onChange={(event) => setType(event.target.value)} placeholder="com.shop.order.*" />}
              </Field>
            </div>
            {path && (
              <Checkbox
                label="Everybody may call it, without a token"
                checked={open}
                onChange={(event) => setOpen(event.target.checked)}
              />
            )}
          </>
        )}
        {deploy.isError && <ProblemLine error={deploy.error} />}
        <Command text={command("nexus", "deploy", "--component", file?.name ?? "FILE", "--name", name || "NAME", ["--path", path], ["--project", project])} />
      </div>
    </Dialog>
  );
}

function parts(component: File, on: object): FormData {
  const form = new FormData();
  form.set("component", component);
  form.set("spec", new Blob([JSON.stringify({ on })], { type: "application/json" }));
  return form;
}

/** `Resize_Image.wasm` → `resize-image` */
function nameOf(file: File | undefined): string {
  const base = file?.name.replace(/\.wasm$/i, "") ?? "";
  return base.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
}
