import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleUser, LogOut } from "lucide-react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import { Moment } from "~/components/Time";
import { Button, IconButton } from "~/ui/Button";
import { Popover } from "~/ui/Popover";

/** Who is signed in, what they may do, and the way out. */
export function AccountMenu() {
  const session = useQuery(queries.session());
  const client = useQueryClient();
  const navigate = useNavigate();
  const signOut = useMutation({
    mutationFn: () => take(api.DELETE("/api/v1/session")),
    onSuccess: async () => {
      await navigate({ to: "/signin" });
      client.clear();
    },
  });
  return (
    <Popover trigger={<IconButton label="Account" icon={CircleUser} />} label="Account">
      <div className="flex w-64 flex-col gap-2 text-sm">
        <p className="font-medium">{session.data?.principal.replace("token:", "token ") ?? "…"}</p>
        <p className="text-xs text-ink-2">May: {session.data?.scopes.join(", ")}</p>
        {session.data?.project && <p className="text-xs text-ink-2">Only the project {session.data.project}</p>}
        {session.data?.expires && (
          <p className="text-xs text-ink-3">
            Signed in until <Moment at={session.data.expires} />
          </p>
        )}
        {session.data?.kind === "session" && (
          <Button size="sm" icon={LogOut} busy={signOut.isPending} onClick={() => signOut.mutate()}>
            Sign out
          </Button>
        )}
      </div>
    </Popover>
  );
}
