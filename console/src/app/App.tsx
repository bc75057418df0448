import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { Tooltip } from "radix-ui";

import { ApiError, reasonOf } from "~/api/problem";
import { say, Toasts } from "~/ui/toasts";
import { makeRouter } from "./router";

const client: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      // What the server refused, it refuses again; only silence is worth another try.
      retry: (failures, error) => !(error instanceof ApiError) && failures < 2,
    },
  },
  queryCache: new QueryCache({ onError: signInAgain }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      signInAgain(error);
      if (!mutation.meta?.["shownInPlace"]) say(reasonOf(error), false);
    },
  }),
});

const router = makeRouter(client);

function signInAgain(error: Error): void {
  if (!(error instanceof ApiError) || !error.isUnauthenticated || location.pathname === "/signin") return;
  void router.navigate({ to: "/signin", search: { to: location.pathname + location.search } });
}

export function App() {
  return (
    <QueryClientProvider client={client}>
      <Tooltip.Provider delayDuration={350} skipDelayDuration={200}>
        <RouterProvider router={router} />
        <Toasts />
      </Tooltip.Provider>
    </QueryClientProvider>
  );
}
