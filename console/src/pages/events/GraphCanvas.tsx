import { Link } from "@tanstack/react-router";
import { Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { ListTree } from "lucide-react";
import { useMemo } from "react";

import { usePreferences } from "~/app/preferences";
import type { Graph, GraphNode } from "~/api/types";
import { StatusMark } from "~/components/StatusMark";
import { place } from "~/lib/graph";
import { formatClock, formatDuration } from "~/lib/time";
import { cx } from "~/ui/cx";

type Box = Node<{ node: GraphNode; project: string; root: boolean }, "box">;

const SIZES = { column: 226, row: 70 };
const TYPES = { box: BoxView };

/** Draws a graph of causes; the layout is ours, because causes form a tree. */
export default function GraphCanvas({ project, graph }: { project: string; graph: Graph }) {
  const nodes = useMemo(() => {
    const byId = new Map(graph.nodes.map((node) => [node.id, node]));
    return place(graph.nodes, graph.edges, SIZES).flatMap(({ id, x, y }): Box[] => {
      const node = byId.get(id);
      return node ? [{ id, type: "box", position: { x, y }, data: { node, project, root: id === graph.root } }] : [];
    });
  }, [graph, project]);
  const edges = useMemo(
    () =>
      graph.edges.map(({ from, to }): Edge => ({ id: `${from}-${to}`, source: from, target: to, style: { stroke: "var(--line-strong)", strokeWidth: 1.5 } })),
    [graph],
  );
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={TYPES}
      fitView
      fitViewOptions={{ minZoom: 0.6, maxZoom: 1, padding: 0.05 }}
      minZoom={0.15}
      nodesDraggable={false}
      nodesConnectable={false}
      elementsSelectable={false}
      nodesFocusable={false}
      edgesFocusable={false}
      zoomOnScroll={false}
      preventScrolling={false}
      aria-label="Graph of what it caused"
    >
      <Controls showInteractive={false} position="top-right" />
    </ReactFlow>
  );
}

function BoxView({ data: { node, project, root } }: NodeProps<Box>) {
  return (
    <div
      className={cx(
        "flex h-14 w-48 flex-col justify-center rounded-lg border bg-surface px-3 text-xs",
        root ? "border-accent" : "border-line-strong",
      )}
    >
      <Handle type="target" position={Position.Left} className="invisible" />
      <Title node={node} project={project} />
      <Below node={node} />
      <Handle type="source" position={Position.Right} className="invisible" />
    </div>
  );
}

const LINK = "truncate font-medium hover:underline";

function Title({ node, project }: { node: GraphNode; project: string }) {
  if (node.kind === "event")
    return (
      <span className="flex items-center gap-1.5">
        <ListTree aria-hidden className="size-3.5 shrink-0 text-ink-3" />
        <Link to="/p/$project/events/$event" params={{ project, event: node.id }} className={LINK}>
          {node.type}
        </Link>
      </span>
    );
  if (node.kind === "invocation")
    return (
      <Link to="/p/$project/invocations/$invocation" params={{ project, invocation: node.id }} className={LINK}>
        {node.function}
      </Link>
    );
  return <span className="truncate font-medium">{node.function}</span>;
}

function Below({ node }: { node: GraphNode }) {
  const { zone } = usePreferences();
  if (node.kind === "event")
    return (
      <span className="nums truncate text-2xs text-ink-3">
        {node.subject ? `${node.subject}, ` : ""}
        {formatClock(new Date(node.at), zone)}
      </span>
    );
  if (node.kind === "invocation")
    return (
      <span className="flex items-center justify-between text-2xs">
        <StatusMark status={node.status} />
        <span className="nums text-ink-3">
          {node.attempt > 1 ? `attempt ${node.attempt}, ` : ""}
          {formatDuration(node.duration_ns)}
        </span>
      </span>
    );
  return (
    <span className={cx("truncate text-2xs", node.state === "dead" ? "text-bad" : "text-run")} title={node.reason ?? undefined}>
      {node.state === "dead" ? "dead letter" : node.state}, {node.attempts} {node.attempts === 1 ? "attempt" : "attempts"}
      {node.code ? `, ${node.code}` : ""}
    </span>
  );
}
