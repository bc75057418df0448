/** A node of a graph of events and invocations, and where it stands. */
export interface Placed {
  id: string;
  x: number;
  y: number;
}

interface GraphNode {
  id: string;
}

interface GraphEdge {
  from: string;
  to: string;
}

interface Sizes {
  /** From one column to the next. */
  column: number;
  /** From one row to the next. */
  row: number;
}

/**
 * Places a graph of causes from left to right: a node stands right of what caused it, and in the middle of what it
 * caused. Every node has one cause at most, so the graph is a tree (or several), and this is exact and quick.
 */
export function place(nodes: readonly GraphNode[], edges: readonly GraphEdge[], sizes: Sizes): Placed[] {
  const known = new Set(nodes.map(({ id }) => id));
  const effects = new Map<string, string[]>();
  const caused = new Set<string>();
  for (const { from, to } of edges) {
    // A second cause would make a node stand in two places.
    if (!known.has(from) || !known.has(to) || caused.has(to) || from === to) continue;
    caused.add(to);
    effects.set(from, [...(effects.get(from) ?? []), to]);
  }
  const placed = new Map<string, Placed>();
  let nextRow = 0;
  const put = (id: string, depth: number): number => {
    // A circle cannot come from causes, but the graph comes from outside.
    const before = placed.get(id);
    if (before) return before.y;
    const here: Placed = { id, x: depth * sizes.column, y: 0 };
    placed.set(id, here);
    const rows = (effects.get(id) ?? []).map((effect) => put(effect, depth + 1));
    const [first, last] = [rows[0], rows.at(-1)];
    if (first === undefined || last === undefined) {
      here.y = nextRow * sizes.row;
      nextRow += 1;
    } else here.y = (first + last) / 2;
    return here.y;
  };
  for (const { id } of nodes) if (!caused.has(id)) put(id, 0);
  for (const { id } of nodes) if (!placed.has(id)) put(id, 0);
  return [...placed.values()];
}
