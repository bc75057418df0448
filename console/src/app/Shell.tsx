import { useQuery } from "@tanstack/react-query";
import { Outlet, useParams, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { queries } from "~/api/queries";
import { cx } from "~/ui/cx";
import { useNavigationActions } from "./navigation";
import { Palette } from "./Palette";
import { setPreferences } from "./preferences";
import { ShortcutHelp } from "./ShortcutHelp";
import { useShortcuts } from "./shortcuts";
import { Sidebar } from "./Sidebar";
import { TopBar } from "./TopBar";

/** What surrounds every page of a project. */
export function ProjectShell() {
  const { project } = useParams({ from: "/p/$project" });
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  // The drawer of a phone belongs to the page on which it was opened: on another one it is closed.
  const [menuAt, setMenuAt] = useState<string>();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const menu = menuAt === path;
  const counts = useQuery(queries.deadLetterCounts(project));
  const dead = counts.data?.items.reduce((sum, item) => sum + item.count, 0) ?? 0;

  useNavigationActions(project, { openPalette: () => setPalette(true), openHelp: () => setHelp(true) });
  useShortcuts();
  useEffect(() => setPreferences({ project }), [project]);

  return (
    <div className="flex h-full">
      <a
        href="#page"
        className="fixed top-2 left-2 z-50 -translate-y-16 rounded-md bg-solid px-3 py-1.5 text-on-solid focus:translate-y-0"
      >
        Go to the content
      </a>
      {menu && (
        <div aria-hidden className="fixed inset-0 z-30 bg-solid/25 md:hidden" onClick={() => setMenuAt(undefined)} />
      )}
      <div
        className={cx(
          "fixed inset-y-0 left-0 z-30 w-60 transition-transform md:static md:w-auto md:translate-x-0",
          menu ? "translate-x-0 shadow-pop" : "invisible -translate-x-full md:visible",
        )}
      >
        <Sidebar project={project} dead={dead} />
      </div>
      <div className="flex min-w-0 flex-1 flex-col bg-surface">
        <TopBar project={project} onSearch={() => setPalette(true)} onMenu={() => setMenuAt(path)} />
        <main id="page" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto outline-none">
          <Outlet />
        </main>
      </div>
      <Palette open={palette} onClose={() => setPalette(false)} project={project} />
      <ShortcutHelp open={help} onClose={() => setHelp(false)} />
    </div>
  );
}
