import { useMutation } from "@tanstack/react-query";

import { api, take } from "~/api/client";

/** Runs an invocation once more against its journal. */
export function useReplay(project: string, invocation: string) {
  return useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/invocations/{invocation}/replay", {
          params: { path: { project, invocation } },
        }),
      ),
  });
}

export type ReplayMutation = ReturnType<typeof useReplay>;
