import { useQuery } from "@tanstack/react-query";

import { queries } from "~/api/queries";
import type { Scope } from "~/api/types";

/**
 * Why this session may not do something; nothing when it may. The server decides in the end: this only says it before
 * somebody tries. The rule is that of `Scopes::allow` in `crates/policy`: `admin` includes all, no other scope includes another.
 */
export function useMay(): (scope: Scope) => string | undefined {
  const session = useQuery(queries.session());
  const scopes = session.data?.scopes;
  return (scope) => {
    if (!scopes || scopes.includes("admin") || scopes.includes(scope)) return undefined;
    return `Your token has not the scope ${scope}`;
  };
}
