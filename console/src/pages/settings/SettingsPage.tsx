import { useNavigate, useParams, useSearch } from "@tanstack/react-router";

import { Page } from "~/ui/layout";
import { Tabs } from "~/ui/Tabs";
import { Limits } from "./Limits";
import { ProjectSettings } from "./ProjectSettings";
import { Secrets } from "./Secrets";
import { Tokens } from "./Tokens";

export function SettingsPage() {
  const { project } = useParams({ from: "/p/$project/settings" });
  const { tab = "project" } = useSearch({ from: "/p/$project/settings" });
  const navigate = useNavigate({ from: "/p/$project/settings" });
  return (
    <Page title="Settings">
      <Tabs
        label="Settings"
        value={tab}
        onChange={(next) => void navigate({ search: { tab: next }, replace: true })}
        tabs={[
          { value: "project", label: "Project", content: <ProjectSettings key={project} project={project} /> },
          { value: "secrets", label: "Secrets", content: <Secrets project={project} /> },
          { value: "tokens", label: "Tokens", content: <Tokens /> },
          { value: "limits", label: "Limits", content: <Limits /> },
        ]}
      />
    </Page>
  );
}
