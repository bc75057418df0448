import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { BookOpen } from "lucide-react";

import { queries } from "~/api/queries";
import { formatCompact } from "~/lib/format";
import { PAGES } from "./navigation";

const LINK =
  "group flex h-8 items-center gap-2.5 rounded-md px-2 text-sm text-ink-2 transition-colors hover:bg-hover hover:text-ink";
const ACTIVE = { className: "bg-pressed !text-ink font-medium", "aria-current": "page" } as const;
const GROUPS = ["watch", "declare", "operate"] as const;

export function Sidebar({ project, dead }: { project: string; dead: number }) {
  const version = useQuery(queries.version());
  return (
    <nav aria-label="Pages" className="flex h-full flex-col border-r border-line bg-canvas md:w-52">
      <Link
        to="/p/$project"
        params={{ project }}
        className="flex h-13 shrink-0 items-center gap-2.5 px-4 text-base font-semibold tracking-tight"
      >
        <Logo />
        Nexus
      </Link>
      <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-y-auto px-2 pt-1">
        {GROUPS.map((group) => (
          <ul key={group} className="flex flex-col gap-px">
            {PAGES.filter((page) => page.group === group).map(({ to, label, icon: Icon }) => (
              <li key={to}>
                <Link
                  to={to}
                  params={{ project }}
                  activeOptions={{ exact: to === "/p/$project", includeSearch: false }}
                  activeProps={ACTIVE}
                  className={LINK}
                >
                  <Icon aria-hidden className="size-4 text-ink-3 group-hover:text-ink-2" strokeWidth={1.75} />
                  <span className="flex-1">{label}</span>
                  {label === "Dead letters" && dead > 0 && (
                    <span className="nums rounded-full bg-bad-soft px-1.5 text-2xs font-medium text-bad">
                      {formatCompact(dead)}
                    </span>
                  )}
                </Link>
              </li>
            ))}
          </ul>
        ))}
      </div>
      <div className="flex flex-col gap-px px-2 pb-3">
        <a href="/docs" target="_blank" rel="noreferrer" className={LINK}>
          <BookOpen aria-hidden className="size-4 text-ink-3" strokeWidth={1.75} />
          API reference
        </a>
        <p className="px-2 pt-1 text-2xs text-ink-3">{version.data ? `Nexus ${version.data.version}` : " "}</p>
      </div>
    </nav>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden className="size-6">
      <rect width="32" height="32" rx="8" className="fill-solid" />
      <path
        d="M9.5 22.5v-13l13 13v-13"
        fill="none"
        strokeWidth="3"
        strokeLinecap="round"
        strokeLinejoin="round"
        className="stroke-on-solid"
      />
      <circle cx="22.5" cy="9.5" r="3.2" className="fill-accent" />
    </svg>
  );
}
