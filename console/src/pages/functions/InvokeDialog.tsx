import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useState } from "react";

import { send } from "~/api/client";
import { ApiError } from "~/api/problem";
import type { FunctionView } from "~/api/types";
import { JsonEditor } from "~/components/JsonEditor";
import { TextView } from "~/components/PayloadView";
import { ProblemLine } from "~/components/ProblemView";
import { command, withQuery } from "~/lib/cli";
import { formatDuration } from "~/lib/time";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Field, Input, Select } from "~/ui/fields";

interface Answer {
  status: number;
  body: string;
  took: number;
  invocation: string | undefined;
}

/** Calls a function and shows what it answers. */
export function InvokeDialog({ project, view, body: given = "", onClose }: { project: string; view: FunctionView; body?: string; onClose: () => void }) {
  const isHttp = view.version?.world === "http";
  const [method, setMethod] = useState(isHttp && !given ? "GET" : "POST");
  const [path, setPath] = useState(view.on.http?.[0]?.path.replace(/\{.*$/, "") ?? "/");
  const [body, setBody] = useState(given || (isHttp ? "" : "{}"));
  const hasBody = method !== "GET" && method !== "HEAD";
  const call = useMutation({
    meta: { shownInPlace: true },
    mutationFn: async (): Promise<Answer> => {
      const began = performance.now();
      const url = withQuery(`/api/v1/projects/${project}/functions/${view.name}/invoke`, isHttp ? { method, path } : {});
      const response = await send(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        ...(hasBody ? { body } : {}),
      }).catch((error: unknown) => {
        // What the function itself answers is an answer, whatever its status is.
        if (error instanceof ApiError && !error.code) return new Response(error.message, { status: error.status });
        throw error;
      });
      return {
        status: response.status,
        body: pretty(await response.text()),
        took: (performance.now() - began) * 1e6,
        invocation: response.headers.get("nexus-invocation-id") ?? undefined,
      };
    },
  });
  const failed = call.error instanceof ApiError ? call.error.invocation : undefined;
  return (
    <Dialog
      open
      shape="side"
      onClose={onClose}
      title={`Call ${view.name}`}
      description="A real call, recorded like any other."
      footer={
        <Button look="solid" icon={Play} busy={call.isPending} onClick={() => call.mutate()}>
          Call
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        {isHttp && (
          <div className="grid grid-cols-[7rem_1fr] gap-3">
            <Field label="Method">
              {(id) => (
                <Select id={id} value={method} onChange={(event) => setMethod(event.target.value)}>
                  {["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map((it) => (
                    <option key={it}>{it}</option>
                  ))}
                </Select>
              )}
            </Field>
            <Field label="Path and query">
              {(id) => <Input id={id} value={path} onChange={(event) => setPath(event.target.value)} className="font-mono text-xs" />}
            </Field>
          </div>
        )}
        {hasBody && (
          <div className="flex flex-col gap-1.5">
            <span className="text-xs font-medium text-ink-2">{isHttp ? "Body" : "Data"}</span>
            <JsonEditor label={isHttp ? "Body" : "Data"} value={body} onChange={setBody} />
          </div>
        )}
        <Command text={command("nexus", "invoke", view.name, ["--project", project], isHttp && ["--method", method], isHttp && ["--path", path], hasBody && ["-d", body.replaceAll(/\s*\n\s*/g, " ")])} />
        {call.isError && (
          <>
            <ProblemLine error={call.error} />
            {failed && <InvocationLink project={project} invocation={failed} />}
          </>
        )}
        {call.data && (
          <section aria-label="Answer" aria-live="polite" className="flex flex-col gap-2">
            <p className="flex items-center justify-between text-sm">
              <span>
                <span className={call.data.status < 400 ? "font-medium text-ok" : "font-medium text-bad"}>{call.data.status}</span>{" "}
                <span className="nums text-ink-3">in {formatDuration(call.data.took)}, as seen from here</span>
              </span>
              {call.data.invocation && <InvocationLink project={project} invocation={call.data.invocation} />}
            </p>
            <TextView text={call.data.body || "(no body)"} label="the answer" />
          </section>
        )}
      </div>
    </Dialog>
  );
}

function InvocationLink({ project, invocation }: { project: string; invocation: string }) {
  return (
    <Link to="/p/$project/invocations/$invocation" params={{ project, invocation }} className="text-sm text-accent hover:underline">
      What happened in it
    </Link>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
