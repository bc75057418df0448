import { useNavigate } from "@tanstack/react-router";
import {
  Activity,
  BookOpen,
  Boxes,
  CalendarClock,
  FileJson2,
  Gauge,
  Globe,
  Keyboard,
  ListTree,
  MailX,
  Moon,
  RotateCcw,
  Search,
  Server,
  Settings,
  Sun,
  SunMoon,
  type LucideIcon,
} from "lucide-react";
import { useMemo } from "react";

import { useActions, type Action } from "./actions";
import { preferences, setPreferences } from "./preferences";

/** The pages of a project, in the order of the sidebar. */
export const PAGES = [
  { to: "/p/$project", label: "Overview", icon: Gauge, key: "o", group: "watch" },
  { to: "/p/$project/invocations", label: "Invocations", icon: Activity, key: "i", group: "watch" },
  { to: "/p/$project/events", label: "Events", icon: ListTree, key: "e", group: "watch" },
  { to: "/p/$project/dead-letters", label: "Dead letters", icon: MailX, key: "d", group: "watch" },
  { to: "/p/$project/replays", label: "Replays", icon: RotateCcw, key: "r", group: "watch" },
  { to: "/p/$project/functions", label: "Functions", icon: Boxes, key: "f", group: "declare" },
  { to: "/p/$project/triggers", label: "Triggers", icon: CalendarClock, key: "t", group: "declare" },
  { to: "/p/$project/schemas", label: "Schemas", icon: FileJson2, key: "s", group: "declare" },
  { to: "/p/$project/nodes", label: "Nodes", icon: Server, key: "n", group: "operate" },
  { to: "/p/$project/settings", label: "Settings", icon: Settings, key: ",", group: "operate" },
] as const satisfies readonly { to: string; label: string; icon: LucideIcon; key: string; group: string }[];

interface Openers {
  openPalette: () => void;
  openHelp: () => void;
}

/** What can be done on every page. */
export function useNavigationActions(project: string, { openPalette, openHelp }: Openers): void {
  const navigate = useNavigate();
  const actions = useMemo(
    (): Action[] => [
      ...PAGES.map((page) => ({
        id: `go-${page.label}`,
        label: `Go to ${page.label.toLowerCase()}`,
        group: "Go to",
        icon: page.icon,
        keys: `g ${page.key}`,
        perform: () => void navigate({ to: page.to, params: { project } }),
      })),
      { id: "palette", label: "Search and commands", group: "Console", icon: Search, keys: "mod+k", perform: openPalette },
      { id: "help", label: "Keyboard shortcuts", group: "Console", icon: Keyboard, keys: "?", perform: openHelp },
      ...themes(),
      ...zones(),
      {
        id: "docs",
        label: "Open the API's documentation",
        group: "Console",
        icon: BookOpen,
        words: "openapi reference help",
        perform: () => void window.open("/docs", "_blank", "noopener"),
      },
    ],
    // The openers only set state: a new identity of them changes nothing.
    // oxlint-disable-next-line react/exhaustive-deps
    [navigate, project],
  );
  useActions(actions);
}

function themes(): Action[] {
  const choices = [
    { theme: "light", label: "Light", icon: Sun },
    { theme: "dark", label: "Dark", icon: Moon },
    { theme: "system", label: "Theme of the system", icon: SunMoon },
  ] as const;
  return choices.map(({ theme, label, icon }) => ({
    id: `theme-${theme}`,
    label,
    group: "Appearance",
    words: "theme colour mode",
    icon,
    perform: () => setPreferences({ theme }),
  }));
}

function zones(): Action[] {
  return [
    {
      id: "zone",
      label: "Switch between UTC and local time",
      group: "Appearance",
      words: "time zone",
      keys: "z",
      icon: Globe,
      perform: () => setPreferences({ zone: preferences().zone === "UTC" ? "local" : "UTC" }),
    },
  ];
}
