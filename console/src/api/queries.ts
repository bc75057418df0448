import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { type DeadFilters, type EventFilters, type InvocationFilters, isUnfinished } from "~/lib/filters";
import { boundOf } from "~/lib/time";
import { api, take } from "./client";
import { readSources } from "./debug";
import type { EventRow, InvocationRow, Profile } from "./types";

/** How many rows a page of a list holds. */
export const PAGE_ROWS = 100;

/** How often it is asked whether something has ended, in milliseconds. */
export const ASK_MS = 1_000;

/** What the server is asked for; every query key begins with the project, so that one project can be forgotten at once. */
export const queries = {
  projects: () =>
    queryOptions({
      queryKey: ["projects"],
      queryFn: () => take(api.GET("/api/v1/projects")),
      staleTime: 30_000,
    }),

  version: () =>
    queryOptions({ queryKey: ["version"], queryFn: () => take(api.GET("/api/v1/version")), staleTime: Infinity }),

  functions: (project: string) =>
    queryOptions({
      queryKey: [project, "functions"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/functions", { params: { path: { project } } })),
      staleTime: 10_000,
    }),

  function: (project: string, name: string) =>
    queryOptions({
      queryKey: [project, "functions", name],
      queryFn: () =>
        take(
          api.GET("/api/v1/projects/{project}/functions/{function}", {
            params: { path: { project, function: name } },
          }),
        ),
    }),

  functionResource: (project: string, name: string) =>
    queryOptions({
      queryKey: [project, "functions", name, "resource"],
      queryFn: () =>
        take(
          api.GET("/api/v1/resources/{kind}/{name}", {
            params: { path: { kind: "function", name }, query: { project } },
          }),
        ),
    }),

  versions: (project: string, name: string) =>
    queryOptions({
      queryKey: [project, "functions", name, "versions"],
      queryFn: () =>
        take(
          api.GET("/api/v1/projects/{project}/functions/{function}/versions", {
            params: { path: { project, function: name } },
          }),
        ),
    }),

  invocations: (project: string, filters: InvocationFilters) =>
    infiniteQueryOptions({
      queryKey: [project, "invocations", filters],
      initialPageParam: undefined as string | undefined,
      queryFn: ({ pageParam, signal }): Promise<Found<InvocationRow>> => {
        const { text, where, ...rest } = bounded(filters);
        const query = { ...rest, limit: PAGE_ROWS, ...(pageParam ? { cursor: pageParam } : {}) };
        const path = { project };
        return text || where
          ? take(
              api.GET("/api/v1/projects/{project}/invocations/search", {
                signal,
                params: { path, query: { ...query, ...(text ? { text } : {}), ...(where ? { where } : {}) } },
              }),
            )
          : take(api.GET("/api/v1/projects/{project}/invocations", { signal, params: { path, query } }));
      },
      getNextPageParam: (page) => page.next ?? undefined,
      staleTime: Infinity,
    }),

  invocationCount: (project: string, { text: _text, where: _where, ...filters }: InvocationFilters) =>
    queryOptions({
      queryKey: [project, "invocations", "count", filters],
      placeholderData: keepPreviousData,
      queryFn: ({ signal }) =>
        take(
          api.GET("/api/v1/projects/{project}/invocations/count", {
            signal,
            params: { path: { project }, query: bounded(filters) },
          }),
        ),
    }),

  invocation: (project: string, invocation: string) =>
    queryOptions({
      queryKey: [project, "invocation", invocation],
      refetchInterval: ({ state }) => state.data !== undefined && isUnfinished(state.data.status) && ASK_MS,
      queryFn: () =>
        take(
          api.GET("/api/v1/projects/{project}/invocations/{invocation}", {
            params: { path: { project, invocation } },
          }),
        ),
    }),

  why: (project: string, id: string) =>
    queryOptions({
      queryKey: [project, "why", id],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/why/{id}", { params: { path: { project, id } } })),
    }),

  events: (project: string, filters: EventFilters) =>
    infiniteQueryOptions({
      queryKey: [project, "events", filters],
      initialPageParam: undefined as string | undefined,
      queryFn: ({ pageParam, signal }): Promise<Found<EventRow>> => {
        const { text, where, system: _system, ...rest } = bounded(filters);
        const query = { ...rest, limit: PAGE_ROWS, ...(pageParam ? { cursor: pageParam } : {}) };
        const path = { project };
        return text || where
          ? take(
              api.GET("/api/v1/projects/{project}/events/search", {
                signal,
                params: { path, query: { ...query, ...(text ? { text } : {}), ...(where ? { where } : {}) } },
              }),
            )
          : take(api.GET("/api/v1/projects/{project}/events", { signal, params: { path, query } }));
      },
      getNextPageParam: (page) => page.next ?? undefined,
      staleTime: Infinity,
    }),

  event: (project: string, event: string) =>
    queryOptions({
      queryKey: [project, "event", event],
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/events/{event}", { params: { path: { project, event } } })),
    }),

  graph: (project: string, id: string) =>
    queryOptions({
      queryKey: [project, "graph", id],
      refetchInterval: 3_000,
      queryFn: () =>
        take(
          id.startsWith("evt_")
            ? api.GET("/api/v1/projects/{project}/events/{event}/graph", { params: { path: { project, event: id } } })
            : api.GET("/api/v1/projects/{project}/invocations/{invocation}/graph", {
                params: { path: { project, invocation: id } },
              }),
        ),
    }),

  stats: (project: string, query: { since?: string; until?: string; function?: string; buckets?: number }) =>
    queryOptions({
      queryKey: [project, "stats", query],
      refetchInterval: 5_000,
      placeholderData: keepPreviousData,
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/stats", { params: { path: { project }, query: bounded(query) } })),
    }),

  changes: (project: string, limit: number) =>
    queryOptions({
      queryKey: [project, "changes", limit],
      refetchInterval: 15_000,
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/changes", { params: { path: { project }, query: { limit } } })),
    }),

  nodes: () =>
    queryOptions({ queryKey: ["nodes"], refetchInterval: 3_000, queryFn: () => take(api.GET("/api/v1/nodes")) }),

  session: () => queryOptions({ queryKey: ["session"], queryFn: () => take(api.GET("/api/v1/session")), staleTime: 60_000 }),

  deadLetters: (project: string, filters: DeadFilters) =>
    queryOptions({
      queryKey: [project, "dead-letters", filters],
      queryFn: () =>
        take(
          api.GET("/api/v1/projects/{project}/dead-letters", {
            params: { path: { project }, query: { ...bounded(filters), limit: 500 } },
          }),
        ),
    }),

  deadLetterCounts: (project: string) =>
    queryOptions({
      queryKey: [project, "dead-letters", "counts"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/dead-letters/counts", { params: { path: { project } } })),
      refetchInterval: 15_000,
    }),

  deadLetter: (project: string, event: string) =>
    queryOptions({
      queryKey: [project, "dead-letters", "one", event],
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/dead-letters/{event}", { params: { path: { project, event } } })),
    }),

  triggers: (project: string) =>
    queryOptions({
      queryKey: [project, "triggers"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/triggers", { params: { path: { project } } })),
      refetchInterval: 10_000,
    }),

  schedules: (project: string) =>
    queryOptions({
      queryKey: [project, "schedules"],
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/schedules", { params: { path: { project }, query: { limit: 200 } } })),
      refetchInterval: 10_000,
    }),

  schemas: (project: string) =>
    queryOptions({
      queryKey: [project, "schemas"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/schemas", { params: { path: { project } } })),
    }),

  schemaResource: (project: string, name: string) =>
    queryOptions({
      queryKey: [project, "schemas", name],
      queryFn: () =>
        take(
          api.GET("/api/v1/resources/{kind}/{name}", { params: { path: { kind: "schema", name }, query: { project } } }),
        ),
    }),

  /** The text of a version's code. It never changes. */
  sources: (project: string, name: string, version: string | null | undefined) =>
    queryOptions({
      queryKey: [project, "sources", name, version],
      staleTime: Infinity,
      retry: false,
      enabled: Boolean(version),
      queryFn: () => readSources(project, name, version ?? ""),
    }),

  /** Where an invocation of the past spent its time: it is replayed for that, once. */
  profile: (project: string, invocation: string) =>
    queryOptions({
      queryKey: [project, "invocation", invocation, "profile"],
      staleTime: Infinity,
      retry: false,
      queryFn: async () =>
        (await take(
          api.GET("/api/v1/projects/{project}/invocations/{invocation}/profile", {
            params: { path: { project, invocation }, query: { format: "json" } },
          }),
        )) as Profile,
    }),

  secrets: (project: string) =>
    queryOptions({
      queryKey: [project, "secrets"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/secrets", { params: { path: { project } } })),
    }),

  tokens: () => queryOptions({ queryKey: ["tokens"], queryFn: () => take(api.GET("/api/v1/tokens")) }),

  limits: () =>
    queryOptions({ queryKey: ["limits"], queryFn: () => take(api.GET("/api/v1/limits")), staleTime: Infinity }),
};

/** Spans before now become moments when the request is sent, so that `15m` in a URL stays true. */
function bounded<T extends { since?: string; until?: string }>(filters: T): T {
  const now = new Date();
  return { ...filters, since: boundOf(filters.since, now), until: boundOf(filters.until, now) };
}

/** A page of a list; one of a search says how far it has looked. */
interface Found<T> {
  items: T[];
  next?: string | null;
  looked_at?: number;
  back_to?: string | null;
}
