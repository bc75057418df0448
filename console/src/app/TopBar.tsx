import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Check, ChevronsUpDown, Globe, Menu as MenuIcon, Moon, Search, Sun, SunMoon } from "lucide-react";

import { queries } from "~/api/queries";
import { zoneLabel } from "~/lib/time";
import { IconButton } from "~/ui/Button";
import { Keys } from "~/ui/Keys";
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuLine } from "~/ui/Menu";
import { AccountMenu } from "./AccountMenu";
import { setPreferences, usePreferences } from "./preferences";
import { shownKeys } from "./shortcuts";

interface Props {
  project: string;
  onSearch: () => void;
  onMenu: () => void;
}

export function TopBar({ project, onSearch, onMenu }: Props) {
  return (
    <header className="flex h-13 shrink-0 items-center gap-2 border-b border-line px-3 md:px-4">
      <span className="md:hidden">
        <IconButton label="Pages" icon={MenuIcon} onClick={onMenu} />
      </span>
      <ProjectSwitch project={project} />
      <button
        type="button"
        onClick={onSearch}
        aria-label="Search and commands"
        className="mx-auto flex h-8 min-w-8 items-center gap-2 rounded-md border border-line bg-surface px-2 text-sm text-ink-3 transition-colors hover:border-line-strong hover:text-ink-2 md:w-88"
      >
        <Search aria-hidden className="size-4" />
        <span className="hidden flex-1 text-left md:inline">Search, paste an id, run a command</span>
        <span className="hidden md:inline">
          <Keys keys={shownKeys("mod+k")} />
        </span>
      </button>
      <ZoneMenu />
      <ThemeMenu />
      <AccountMenu />
    </header>
  );
}

function ProjectSwitch({ project }: { project: string }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const projects = useQuery(queries.projects());
  const choose = useMutation({
    mutationFn: async (name: string) => {
      await navigate({ to: "/p/$project", params: { project: name } });
      client.removeQueries({ queryKey: [project] });
    },
  });
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          aria-label={`Project ${project}: choose another one`}
          className="flex h-8 max-w-44 items-center gap-1.5 rounded-md px-2 text-sm font-medium hover:bg-hover data-[state=open]:bg-hover"
        >
          <span className="truncate">{project}</span>
          <ChevronsUpDown aria-hidden className="size-3.5 shrink-0 text-ink-3" />
        </button>
      }
    >
      <MenuLabel>Projects</MenuLabel>
      {projects.data?.items.map(({ metadata }) => (
        <MenuItem key={metadata.name} onSelect={() => choose.mutate(metadata.name)}>
          <span className="flex items-center gap-2">
            {metadata.name}
            {metadata.name === project && <Check aria-hidden className="size-3.5 text-accent" />}
          </span>
        </MenuItem>
      ))}
    </Menu>
  );
}

function ZoneMenu() {
  const { zone } = usePreferences();
  const now = new Date();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const choices = [
    { value: "local", label: "Local time", hint: zoneLabel(now, "local") },
    { value: "UTC", label: "UTC" },
    ...["Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney"]
      .filter((name) => name !== own)
      .map((name) => ({ value: name, label: name.replace("_", " "), hint: zoneLabel(now, name) })),
  ];
  return (
    <Menu
      trigger={
        <button
          type="button"
          aria-label={`Time zone: ${zoneLabel(now, zone)}`}
          className="hidden h-8 items-center gap-1.5 rounded-md px-2 text-xs text-ink-3 hover:bg-hover hover:text-ink sm:flex"
        >
          <Globe aria-hidden className="size-4" />
          {zoneLabel(now, zone)}
        </button>
      }
    >
      <MenuLabel>Show times in</MenuLabel>
      <MenuChoice value={zone} choices={choices} onChoose={(next) => setPreferences({ zone: next })} />
    </Menu>
  );
}

function ThemeMenu() {
  const { theme } = usePreferences();
  const icon = theme === "light" ? Sun : theme === "dark" ? Moon : SunMoon;
  return (
    <Menu trigger={<IconButton label="Appearance" icon={icon} />}>
      <MenuLabel>Appearance</MenuLabel>
      <MenuChoice
        value={theme}
        choices={[
          { value: "system", label: "As the system" },
          { value: "light", label: "Light" },
          { value: "dark", label: "Dark" },
        ]}
        onChoose={(next) => setPreferences({ theme: next })}
      />
      <MenuLine />
      <MenuItem icon={Globe} onSelect={() => setPreferences({ zone: "UTC" })}>
        Times in UTC
      </MenuItem>
    </Menu>
  );
}
