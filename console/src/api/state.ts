import { infiniteQueryOptions, queryOptions, type QueryClient } from "@tanstack/react-query";

import { withQuery } from "~/lib/cli";
import { api, send, take } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type StateNamespace = Schemas["StateNamespaceView"];
export type StateKey = Schemas["StateKeyView"];
export type StateStream = Schemas["StreamView"];
export type StreamEvent = Schemas["StreamEventView"];

/** Whose state it is: what a function has alone, or what functions share under a name. */
export type Space = { function: string } | { shared: string };

const ROWS = 50;
/** All namespaces that a project has, unless it has very many. */
const SPACES = 500;

const path = (project: string) => ({ path: { project } });

const stateKey = (project: string) => [project, "state"] as const;

/**
 * Asks again for everything that is shown of a project's state: first for where there is some, because a list of what is
 * gone would be asked for in vain.
 */
export async function askAgain(client: QueryClient, project: string): Promise<void> {
  const spaces = [...stateKey(project), "spaces"];
  await client.invalidateQueries({ queryKey: spaces });
  // The page draws the answer first.
  await new Promise((done) => setTimeout(done));
  await client.invalidateQueries({ queryKey: stateKey(project), predicate: ({ queryKey }) => queryKey[2] !== "spaces" });
}

export const state = {
  spaces: (project: string) =>
    queryOptions({
      queryKey: [...stateKey(project), "spaces"],
      queryFn: () => take(api.GET("/api/v1/projects/{project}/state", { params: { ...path(project), query: { limit: SPACES } } })),
    }),

  keys: (project: string, space: Space, prefix: string) =>
    infiniteQueryOptions({
      queryKey: [...stateKey(project), "keys", space, prefix],
      initialPageParam: undefined as string | undefined,
      queryFn: ({ pageParam, signal }) => {
        const query = { ...space, prefix, values: true, limit: ROWS, ...(pageParam ? { cursor: pageParam } : {}) };
        return take(api.GET("/api/v1/projects/{project}/state/keys", { signal, params: { ...path(project), query } }));
      },
      getNextPageParam: (page) => page.next ?? undefined,
    }),

  streams: (project: string, space: Space, prefix: string) =>
    infiniteQueryOptions({
      queryKey: [...stateKey(project), "streams", space, prefix],
      initialPageParam: undefined as string | undefined,
      queryFn: ({ pageParam, signal }) => {
        const query = { ...space, prefix, limit: ROWS, ...(pageParam ? { cursor: pageParam } : {}) };
        return take(api.GET("/api/v1/projects/{project}/state/streams", { signal, params: { ...path(project), query } }));
      },
      getNextPageParam: (page) => page.next ?? undefined,
    }),

  key: (project: string, space: Space, key: string) =>
    queryOptions({
      queryKey: [...stateKey(project), "key", space, key],
      retry: false,
      queryFn: () =>
        take(api.GET("/api/v1/projects/{project}/state/key", { params: { ...path(project), query: { ...space, key } } })) as Promise<StateKey>,
    }),

  events: (project: string, space: Space, stream: string) =>
    infiniteQueryOptions({
      queryKey: [...stateKey(project), "events", space, stream],
      initialPageParam: undefined as string | undefined,
      retry: false,
      queryFn: ({ pageParam, signal }) => {
        const query = { ...space, stream, limit: ROWS, ...(pageParam ? { cursor: pageParam } : {}) };
        return take(api.GET("/api/v1/projects/{project}/state/stream", { signal, params: { ...path(project), query } }));
      },
      getNextPageParam: (page) => page.next ?? undefined,
    }),
};

const place = (project: string, what: string, query: Record<string, string | number | boolean>) =>
  // An empty text is a name here, which `withQuery` would leave out.
  `/api/v1/projects/${project}/state${what}?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`;

/** The address of a key, for people who ask for it elsewhere. */
export const keyPath = (project: string, space: Space, key: string): string =>
  withQuery(`/api/v1/projects/${project}/state/key`, { ...space, key });

export const changeState = {
  /** The exact text of a value, to be edited: as JSON, numbers would lose digits. */
  async text(project: string, space: Space, key: string): Promise<{ text: string; version: number }> {
    const response = await send(place(project, "/key", { ...space, key, raw: true }));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await response.arrayBuffer());
    return { text, version: Number(response.headers.get("nexus-state-version")) };
  },

  /** Only if the key still has this version; 0: only if it does not exist. */
  async set(project: string, space: Space, { key, value, version }: { key: string; value: string; version: number }): Promise<number> {
    const response = await send(place(project, "/key", { ...space, key, version }), {
      method: "PUT",
      headers: { "content-type": "application/octet-stream" },
      body: value,
    });
    return ((await response.json()) as Schemas["StateSetView"]).version;
  },

  remove: (project: string, space: Space, key: string, version: number) =>
    send(place(project, "/key", { ...space, key, version }), { method: "DELETE" }),

  removeStream: (project: string, space: Space, stream: string) => clear(place(project, "/stream", { ...space, stream })),

  removeAll: (project: string, space: Space) => clear(place(project, "", { ...space, all: true })),
};

/** One request removes so much at most; it is repeated until nothing is left. */
async function clear(address: string): Promise<{ keys: number; events: number }> {
  const sum = { keys: 0, events: 0 };
  for (;;) {
    const response = await send(address, { method: "DELETE" });
    const step = (await response.json()) as Schemas["StateClearedView"];
    sum.keys += step.keys;
    sum.events += step.events;
    if (!step.more) return sum;
  }
}
