import { useQuery } from "@tanstack/react-query";

import { api, take } from "~/api/client";
import type { DeadQuery } from "~/api/types";
import { compact, type DeadFilters } from "~/lib/filters";
import { boundOf } from "~/lib/time";

/** The filter of a bulk request; without one everything is meant, and that must be said. */
export function bulkOf(filters: DeadFilters): { filter?: DeadQuery; all?: boolean } {
  const now = new Date();
  const filter = compact({ ...filters, since: boundOf(filters.since, now), until: boundOf(filters.until, now) });
  return Object.keys(filter).length ? { filter } : { all: true };
}

/** How many dead letters a filter takes: asked before anything is done. */
export function useDryRun(project: string, filters: DeadFilters) {
  return useQuery({
    queryKey: [project, "dead-letters", "dry-run", filters],
    staleTime: 0,
    queryFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/dead-letters/redrive", {
          params: { path: { project } },
          body: { ...bulkOf(filters), dry_run: true },
        }),
      ),
  });
}
