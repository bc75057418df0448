import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";

import { queries } from "~/api/queries";
import { deadFilters, eventFilters, functionSearch, invocationFilters } from "~/lib/filters";
import { Loading } from "~/ui/layout";
import { ErrorPage, MissingPage } from "./ErrorPage";
import { preferences } from "./preferences";
import { ProjectShell } from "./Shell";

interface Context {
  client: QueryClient;
}

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  errorComponent: ErrorPage,
  notFoundComponent: MissingPage,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: async ({ context }) => {
    const known = preferences().project;
    const { items } = await context.client.ensureQueryData(queries.projects());
    const names = items.map((item) => item.metadata.name);
    const project = known && names.includes(known) ? known : (names[0] ?? "default");
    throw redirect({ to: "/p/$project", params: { project }, replace: true });
  },
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/signin",
  validateSearch: (search: Record<string, unknown>) => ({
    ...(typeof search["code"] === "string" ? { code: search["code"] } : {}),
    ...(typeof search["to"] === "string" ? { to: search["to"] } : {}),
  }),
  component: lazyRouteComponent(() => import("~/pages/signin/SignInPage"), "SignInPage"),
});

const project = createRoute({ getParentRoute: () => root, path: "/p/$project", component: ProjectShell });

const overview = createRoute({
  getParentRoute: () => project,
  path: "/",
  validateSearch: (search: Record<string, unknown>) =>
    typeof search["range"] === "string" ? { range: search["range"] } : {},
  component: lazyRouteComponent(() => import("~/pages/overview/OverviewPage"), "OverviewPage"),
});

const invocations = createRoute({
  getParentRoute: () => project,
  path: "/invocations",
  validateSearch: invocationFilters,
  component: lazyRouteComponent(() => import("~/pages/invocations/InvocationsPage"), "InvocationsPage"),
});

const invocation = createRoute({
  getParentRoute: () => project,
  path: "/invocations/$invocation",
  validateSearch: (search: Record<string, unknown>) => (typeof search["tab"] === "string" ? { tab: search["tab"] } : {}),
  component: lazyRouteComponent(() => import("~/pages/invocation/InvocationPage"), "InvocationPage"),
});

const events = createRoute({
  getParentRoute: () => project,
  path: "/events",
  validateSearch: eventFilters,
  component: lazyRouteComponent(() => import("~/pages/events/EventsPage"), "EventsPage"),
});

const event = createRoute({
  getParentRoute: () => project,
  path: "/events/$event",
  component: lazyRouteComponent(() => import("~/pages/events/EventPage"), "EventPage"),
});

const functions = createRoute({
  getParentRoute: () => project,
  path: "/functions",
  component: lazyRouteComponent(() => import("~/pages/functions/FunctionsPage"), "FunctionsPage"),
});

const oneFunction = createRoute({
  getParentRoute: () => project,
  path: "/functions/$function",
  validateSearch: functionSearch,
  component: lazyRouteComponent(() => import("~/pages/functions/FunctionPage"), "FunctionPage"),
});

const deadLetters = createRoute({
  getParentRoute: () => project,
  path: "/dead-letters",
  validateSearch: deadFilters,
  component: lazyRouteComponent(() => import("~/pages/dead-letters/DeadLettersPage"), "DeadLettersPage"),
});

const deadLetter = createRoute({
  getParentRoute: () => project,
  path: "/dead-letters/$event",
  component: lazyRouteComponent(() => import("~/pages/dead-letters/DeadLetterPage"), "DeadLetterPage"),
});

const triggers = createRoute({
  getParentRoute: () => project,
  path: "/triggers",
  component: lazyRouteComponent(() => import("~/pages/triggers/TriggersPage"), "TriggersPage"),
});

const schemas = createRoute({
  getParentRoute: () => project,
  path: "/schemas",
  validateSearch: (search: Record<string, unknown>) => (typeof search["name"] === "string" ? { name: search["name"] } : {}),
  component: lazyRouteComponent(() => import("~/pages/schemas/SchemasPage"), "SchemasPage"),
});

const debug = createRoute({
  getParentRoute: () => project,
  path: "/debug/$invocation",
  component: lazyRouteComponent(() => import("~/pages/debug/DebugPage"), "DebugPage"),
});

const replays = createRoute({
  getParentRoute: () => project,
  path: "/replays",
  validateSearch: (search: Record<string, unknown>) => (typeof search["id"] === "string" ? { id: search["id"] } : {}),
  component: lazyRouteComponent(() => import("~/pages/replays/ReplaysPage"), "ReplaysPage"),
});

const nodes = createRoute({
  getParentRoute: () => project,
  path: "/nodes",
  component: lazyRouteComponent(() => import("~/pages/nodes/NodesPage"), "NodesPage"),
});

const settings = createRoute({
  getParentRoute: () => project,
  path: "/settings",
  validateSearch: (search: Record<string, unknown>) => (typeof search["tab"] === "string" ? { tab: search["tab"] } : {}),
  component: lazyRouteComponent(() => import("~/pages/settings/SettingsPage"), "SettingsPage"),
});

const tree = root.addChildren([
  home,
  signIn,
  project.addChildren([
    overview,
    invocations,
    invocation,
    events,
    event,
    functions,
    oneFunction,
    deadLetters,
    deadLetter,
    triggers,
    schemas,
    debug,
    replays,
    nodes,
    settings,
  ]),
]);

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { client },
    defaultPreload: "intent",
    defaultPendingComponent: Loading,
    defaultErrorComponent: ErrorPage,
    defaultNotFoundComponent: MissingPage,
    scrollRestoration: true,
    scrollToTopSelectors: ["#page"],
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
