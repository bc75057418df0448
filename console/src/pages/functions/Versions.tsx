import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { queries } from "~/api/queries";
import type { FunctionView } from "~/api/types";
import { ProblemLine } from "~/components/ProblemView";
import { Chip } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { formatBytes } from "~/lib/format";
import { CopyButton } from "~/ui/Copy";
import { Cell, Row, Table } from "~/ui/table";

/** All versions of a function; what ran stays with the version that ran it. */
export function Versions({ project, view }: { project: string; view: FunctionView }) {
  const versions = useQuery(queries.versions(project, view.name));
  if (versions.isError) return <ProblemLine error={versions.error} />;
  return (
    <Table
      label="Versions"
      head={[{ label: "Version" }, { label: "Component" }, { label: "Imports" }, { label: "Size", right: true }, { label: "Deployed", right: true }, { label: "Invocations", hidden: true }]}
    >
      {versions.data?.items.map((version) => (
        <Row key={version.id}>
          <Cell className="font-medium whitespace-nowrap">
            v{version.number} {version.id === view.version?.id && <Chip tone="ok">live</Chip>}
          </Cell>
          <Cell className="whitespace-nowrap">
            <span className="flex items-center gap-1 font-mono text-xs text-ink-2">
              {version.component.slice(0, 19)}…
              <CopyButton text={version.component} label="Copy the digest" />
            </span>
          </Cell>
          <Cell className="w-full max-w-0 truncate font-mono text-2xs text-ink-3" title={version.imports.join("\n")}>
            {version.imports.join(", ")}
          </Cell>
          <Cell right>{formatBytes(version.component_bytes)}</Cell>
          <Cell right className="text-ink-2">
            <Ago at={version.created} />
          </Cell>
          <Cell right>
            <Link to="/p/$project/invocations" params={{ project }} search={{ function: view.name, version: version.id }} className="text-xs text-accent hover:underline">
              Invocations
            </Link>
          </Cell>
        </Row>
      ))}
    </Table>
  );
}
