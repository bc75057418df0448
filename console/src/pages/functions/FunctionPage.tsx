import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Play, Trash2, Upload } from "lucide-react";
import { useMemo, useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import type { FunctionView } from "~/api/types";
import { useActions, type Action } from "~/app/actions";
import { ActionButton } from "~/components/ActionButton";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemView } from "~/components/ProblemView";
import { useMay } from "~/hooks/useMay";
import { command, curl } from "~/lib/cli";
import { IconButton } from "~/ui/Button";
import { CopyButton } from "~/ui/Copy";
import { Loading, Page } from "~/ui/layout";
import { Tabs } from "~/ui/Tabs";
import { say } from "~/ui/toasts";
import { Behaviour } from "./Behaviour";
import { Configuration } from "./Configuration";
import { DeployDialog } from "./DeployDialog";
import { FunctionLogs } from "./FunctionLogs";
import { InvokeDialog } from "./InvokeDialog";
import { StateTab } from "./StateTab";
import { Versions } from "./Versions";

export function FunctionPage() {
  const { project, function: name } = useParams({ from: "/p/$project/functions/$function" });
  const found = useQuery(queries.function(project, name));
  if (found.isPending) return <Loading rows={10} />;
  if (found.isError) return <ProblemView error={found.error} onRetry={() => void found.refetch()} />;
  return <OneFunction key={name} project={project} view={found.data} />;
}

type Opened = "invoke" | "deploy" | "delete";

function OneFunction({ project, view }: { project: string; view: FunctionView }) {
  const { tab = "behaviour" } = useSearch({ from: "/p/$project/functions/$function" });
  const navigate = useNavigate({ from: "/p/$project/functions/$function" });
  const [opened, setOpened] = useState<Opened>();
  const may = useMay();
  const [mayInvoke, mayWrite] = [may("invoke"), may("write")];
  const actions = useMemo(() => {
    const group = `Function ${view.name}`;
    return {
      invoke: { id: "invoke", label: "Call", group, icon: Play, keys: "c", disabledReason: mayInvoke, perform: () => setOpened("invoke") },
      deploy: { id: "deploy", label: "Deploy", group, icon: Upload, keys: "u", disabledReason: mayWrite, perform: () => setOpened("deploy") },
      remove: { id: "delete", label: "Delete the function", group, icon: Trash2, disabledReason: mayWrite, perform: () => setOpened("delete") },
    } satisfies Record<string, Action>;
  }, [view.name, mayInvoke, mayWrite]);
  useActions(useMemo(() => Object.values(actions), [actions]));
  const close = () => setOpened(undefined);
  return (
    <Page
      title={view.name}
      about={<About view={view} />}
      actions={
        <>
          {!mayWrite && <IconButton label="Delete the function" icon={Trash2} onClick={actions.remove.perform} />}
          <CliButton
            command={command("nexus", "functions", "show", view.name, ["--project", project])}
            request={curl(location.origin, `/api/v1/projects/${project}/functions/${view.name}`)}
          />
          <ActionButton action={actions.deploy} />
          <ActionButton action={actions.invoke} look="solid" />
        </>
      }
    >
      <Tabs
        label="Parts of the function"
        value={tab}
        onChange={(next) => void navigate({ search: { tab: next }, replace: true })}
        tabs={[
          { value: "behaviour", label: "Behaviour", content: <Behaviour project={project} name={view.name} /> },
          { value: "versions", label: "Versions", content: <Versions project={project} view={view} /> },
          { value: "configuration", label: "Configuration", content: <Configuration project={project} view={view} /> },
          { value: "state", label: "State", content: <StateTab project={project} name={view.name} /> },
          { value: "logs", label: "Logs", content: <FunctionLogs project={project} name={view.name} /> },
        ]}
      />
      {opened === "invoke" && <InvokeDialog project={project} view={view} onClose={close} />}
      {opened === "deploy" && <DeployDialog project={project} name={view.name} onClose={close} />}
      {opened === "delete" && <DeleteFunction project={project} name={view.name} onClose={close} />}
    </Page>
  );
}

function About({ view }: { view: FunctionView }) {
  return (
    <>
      {view.description && <p>{view.description}</p>}
      <p className="mt-0.5 flex flex-wrap items-center gap-x-3 text-xs text-ink-3">
        {view.version && (
          <span>
            {view.version.world} function, version {view.version.number}
            {view.version.language && `, ${view.version.language}`}
          </span>
        )}
        {view.urls.map((url) => (
          <span key={url} className="flex items-center gap-0.5">
            <a href={url} target="_blank" rel="noreferrer" className="font-mono link">
              {url}
            </a>
            <CopyButton text={url} label="Copy the address" />
          </span>
        ))}
        <Link from="/p/$project" to="./invocations" search={{ function: view.name }} className="link">
          Its invocations
        </Link>
      </p>
    </>
  );
}

function DeleteFunction({ project, name, onClose }: { project: string; name: string; onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(api.DELETE("/api/v1/projects/{project}/functions/{function}", { params: { path: { project, function: name } } })),
    onSuccess: async () => {
      say(`${name} is deleted.`);
      await navigate({ to: "/p/$project/functions", params: { project } });
      await client.invalidateQueries({ queryKey: [project, "functions"] });
    },
  });
  return (
    <ConfirmDialog
      title={`Delete ${name}?`}
      typed={name}
      verb="Delete"
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      Its routes and triggers end at once, and events of its types are not handled by it any more. What it did stays in the log, and
      what it remembers stays for a function of this name: delete its state first where it should not.
    </ConfirmDialog>
  );
}
