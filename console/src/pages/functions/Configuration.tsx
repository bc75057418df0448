import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { KeyRound } from "lucide-react";
import type { ReactNode } from "react";

import { queries } from "~/api/queries";
import type { FunctionView } from "~/api/types";
import { JsonView } from "~/components/JsonView";
import { TriggerChips } from "~/components/TriggerChips";
import type { Json } from "~/lib/diff";
import { formatBytes } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { Facts, Section } from "~/ui/layout";

/** What a function declares: what calls it, what it gets, what bounds it. */
export function Configuration({ project, view }: { project: string; view: FunctionView }) {
  const resource = useQuery(queries.functionResource(project, view.name));
  const { config } = view;
  const spec = resource.data?.spec as { delivery?: Json } | undefined;
  return (
    <div className="grid gap-x-10 gap-y-8 lg:grid-cols-2">
      <Section title="Called by">
        <TriggerChips triggers={view.on} />
      </Section>
      <Section title="Limits">
        <Facts
          items={[
            ["Timeout", config["timeout-ms"] ? formatDuration(config["timeout-ms"] * 1e6) : "default"],
            ["Memory", config["memory-bytes"] ? formatBytes(config["memory-bytes"]) : "default"],
            ["Concurrency", config.concurrency ?? "default"],
            ["Attempts", config.attempts ?? "default"],
            ["Durable", config.durable ? "yes" : "no"],
            ["Recorded", typeof config.record === "object" ? `${config.record.sample * 100} % of calls` : config.record],
            ["May reach", config["allow-hosts"]?.join(", ") || "public addresses"],
            ["Redacted", [...(config.redact?.headers ?? []), ...(config.redact?.fields ?? [])].join(", ")],
          ]}
        />
      </Section>
      <Section title="Environment">
        <Environment project={project} env={config.env ?? {}} />
      </Section>
      {spec?.delivery !== undefined && Object.keys(spec.delivery ?? {}).length > 0 && (
        <Section title="Delivery" about="How its events are delivered">
          <JsonView value={spec.delivery} label="the delivery settings" />
        </Section>
      )}
      <div className="lg:col-span-2">
        <Section title="As a resource" about="What nexus apply takes">
          {resource.data && <JsonView value={resource.data as unknown as Json} label="the resource" />}
        </Section>
      </div>
    </div>
  );
}

function Environment({ project, env }: { project: string; env: NonNullable<FunctionView["config"]["env"]> }) {
  const entries = Object.entries(env);
  if (entries.length === 0) return <p className="text-sm text-ink-3">It has no variables.</p>;
  return (
    <Facts
      items={entries.map(([name, value]): [string, ReactNode] => [
        name,
        typeof value === "string" ? (
          <span key={name} className="font-mono text-xs">
            {value}
          </span>
        ) : (
          <Link
            key={name}
            to="/p/$project/settings"
            params={{ project }}
            search={{ tab: "secrets" }}
            className="inline-flex items-center gap-1.5 text-accent hover:underline"
          >
            <KeyRound aria-hidden className="size-3.5" />
            {value.secret}
          </Link>
        ),
      ])}
    />
  );
}
