import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { ArrowRight } from "lucide-react";
import { useEffect, useEffectEvent, useState } from "react";

import { api, take } from "~/api/client";
import { Logo } from "~/app/Sidebar";
import { ProblemLine } from "~/components/ProblemView";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Field, Input } from "~/ui/fields";

/** A token or a one-time link becomes a session in a cookie that no script can read. */
export function SignInPage() {
  const { code, to } = useSearch({ from: "/signin" });
  const [token, setToken] = useState("");
  const router = useRouter();
  const client = useQueryClient();
  const signIn = useMutation({
    meta: { shownInPlace: true },
    mutationFn: async (proof: { token: string } | { code: string }) => {
      try {
        await take(api.POST("/api/v1/session", { body: proof }));
      } catch (error) {
        // A link works once: opened again in a browser that is signed in already, it just goes on.
        if ("token" in proof || !(await isSignedIn())) throw error;
      }
    },
    onSuccess: async () => {
      client.clear();
      // Only a path of the console itself: the address comes from outside.
      const target = to && /^\/(?![/\\])/.test(to) ? to : "/";
      await router.navigate({ to: target, replace: true });
    },
  });
  const signInWith = useEffectEvent((proof: string) => {
    history.replaceState(null, "", "/signin");
    signIn.mutate({ code: proof });
  });
  useEffect(() => {
    if (code) signInWith(code);
  }, [code]);
  return (
    <main className="flex h-full items-center justify-center overflow-y-auto px-4">
      <div className="flex w-full max-w-sm flex-col gap-6 py-10">
        <header className="flex flex-col items-start gap-4">
          <span className="[&_svg]:size-10">
            <Logo />
          </span>
          <div>
            <h1 className="text-2xl font-semibold tracking-tight">Sign in to Nexus</h1>
            <p className="mt-1 text-sm text-ink-2">{location.host}</p>
          </div>
        </header>
        <form
          className="flex flex-col gap-4"
          onSubmit={(event) => {
            event.preventDefault();
            signIn.mutate({ token: token.trim() });
          }}
        >
          <Field label="Token" hint="It is sent once and kept nowhere in this browser.">
            {(id) => (
              <Input
                id={id}
                type="password"
                required
                autoFocus
                autoComplete="off"
                spellCheck={false}
                placeholder="nx_…"
                value={token}
                onChange={(event) => setToken(event.target.value)}
                className="h-10 font-mono"
              />
            )}
          </Field>
          {signIn.isError && <ProblemLine error={signIn.error} />}
          <Button type="submit" look="solid" icon={ArrowRight} busy={signIn.isPending} className="h-10">
            Sign in
          </Button>
        </form>
        <div className="flex flex-col gap-2 border-t border-line pt-5">
          <p className="text-xs text-ink-3">Or let the command line open the console for you, with a link that works once:</p>
          <Command text="nexus console" />
        </div>
      </div>
    </main>
  );
}

async function isSignedIn(): Promise<boolean> {
  const { response } = await api.GET("/api/v1/session");
  return response.ok;
}
