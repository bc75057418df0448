import type { Profile, ProfileFrame } from "~/api/types";

/** A function in the place where it was called. */
export interface FlameNode {
  /** Its number among the profile's frames; -1 for all together. */
  frame: number;
  samples: number;
  /** Samples in which it ran itself. */
  own: number;
  depth: number;
  parent?: FlameNode;
  children: FlameNode[];
}

/** Deeper calls are counted, not drawn. */
const DEPTH_MAX = 200;

/** All stacks as one tree; what took longer stands to the left. */
export function flameTree({ stacks }: Pick<Profile, "stacks">): FlameNode {
  const root: FlameNode = { frame: -1, samples: 0, own: 0, depth: 0, children: [] };
  for (const { frames, samples } of stacks) {
    root.samples += samples;
    let node = root;
    for (const frame of frames.slice(0, DEPTH_MAX)) {
      let child = node.children.find((it) => it.frame === frame);
      if (!child) {
        child = { frame, samples: 0, own: 0, depth: node.depth + 1, parent: node, children: [] };
        node.children.push(child);
      }
      child.samples += samples;
      node = child;
    }
    node.own += samples;
  }
  const sort = (node: FlameNode) => {
    node.children.sort((one, other) => other.samples - one.samples);
    node.children.forEach(sort);
  };
  sort(root);
  return root;
}

export interface FlameBox {
  node: FlameNode;
  /** Shares of the width. */
  left: number;
  width: number;
}

/** Boxes for what lies below `zoom`, and as whole lines for what leads to it; too narrow ones are left out. */
export function flameBoxes(zoom: FlameNode, narrowest: number): FlameBox[] {
  const boxes: FlameBox[] = [];
  for (let node = zoom.parent; node; node = node.parent) boxes.unshift({ node, left: 0, width: 1 });
  const place = (node: FlameNode, left: number) => {
    const width = node.samples / Math.max(zoom.samples, 1);
    if (width < narrowest) return;
    boxes.push({ node, left, width });
    let at = left;
    for (const child of node.children) {
      place(child, at);
      at += child.samples / Math.max(zoom.samples, 1);
    }
  };
  place(zoom, 0);
  return boxes;
}

export interface FunctionShare {
  name: string;
  frame: ProfileFrame;
  /** Samples in which it ran itself, and in which it was somewhere on the stack. */
  own: number;
  whole: number;
}

/** The functions of a profile: where it spent most by itself first. */
export function functionShares({ frames, stacks }: Pick<Profile, "frames" | "stacks">): FunctionShare[] {
  const shares = new Map<string, FunctionShare>();
  for (const stack of stacks) {
    const seen = new Set<string>();
    stack.frames.forEach((number, index) => {
      const frame = frames[number];
      if (!frame) return;
      const share = shares.get(frame.function) ?? { name: frame.function, frame, own: 0, whole: 0 };
      shares.set(frame.function, share);
      if (!seen.has(frame.function)) share.whole += stack.samples;
      seen.add(frame.function);
      if (index === stack.frames.length - 1) share.own += stack.samples;
    });
  }
  return [...shares.values()].toSorted((one, other) => other.own - one.own || other.whole - one.whole);
}

/** The end of a function's path, which says more than its beginning: `core::iter::map` is `iter::map`. */
export function shortName(name: string): string {
  const plain = name.replace(/^<(.+)>(::[\w{}#]+)+$/, (whole, inner: string) => (inner.includes(" as ") ? whole : `${inner}${whole.slice(inner.length + 2)}`));
  if (/[<( ]/.test(plain)) return plain;
  return plain.split("::").slice(-2).join("::");
}

/** Samples whose stack has a function with this text in its name. */
export function samplesWith({ frames, stacks }: Pick<Profile, "frames" | "stacks">, text: string): number {
  const hit = frames.map((frame) => matches(frame, text));
  return stacks.reduce((sum, stack) => sum + (stack.frames.some((number) => hit[number]) ? stack.samples : 0), 0);
}

export function matches(frame: Pick<ProfileFrame, "function"> | undefined, text: string): boolean {
  return text !== "" && (frame?.function.toLowerCase().includes(text.toLowerCase()) ?? false);
}
