/** A value as JSON gives it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** One place at which two values differ. */
export interface Difference {
  /** Where: `.body.items[0].price`; empty for the whole value. */
  path: string;
  kind: "added" | "removed" | "changed";
  before?: Json;
  after?: Json;
}

/** Where two values differ, in the order of the first. */
export function differences(before: Json, after: Json, path = ""): Difference[] {
  if (Array.isArray(before) && Array.isArray(after)) return inLists(before, after, path);
  if (isRecord(before) && isRecord(after)) return inRecords(before, after, path);
  return Object.is(before, after) ? [] : [{ path, kind: "changed", before, after }];
}

function inLists(before: Json[], after: Json[], path: string): Difference[] {
  const found: Difference[] = [];
  for (let index = 0; index < Math.max(before.length, after.length); index += 1) {
    const at = `${path}[${index}]`;
    const [one, other] = [before[index], after[index]];
    if (one === undefined && other !== undefined) found.push({ path: at, kind: "added", after: other });
    else if (other === undefined && one !== undefined) found.push({ path: at, kind: "removed", before: one });
    else if (one !== undefined && other !== undefined) found.push(...differences(one, other, at));
  }
  return found;
}

function inRecords(before: Record<string, Json>, after: Record<string, Json>, path: string): Difference[] {
  const found: Difference[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const at = `${path}${keyPath(key)}`;
    const [one, other] = [before[key], after[key]];
    if (one === undefined && other !== undefined) found.push({ path: at, kind: "added", after: other });
    else if (other === undefined && one !== undefined) found.push({ path: at, kind: "removed", before: one });
    else if (one !== undefined && other !== undefined) found.push(...differences(one, other, at));
  }
  return found;
}

function isRecord(value: Json): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How jq names a key: `.total`, `["content-type"]`. */
export function keyPath(key: string): string {
  return /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** A line of a text diff. */
export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
}

/** More lines than this on both sides are shown as all removed and all added: the table of the comparison would be too large. */
const LINES_MAX = 3_000;

/** The lines of two texts with what was removed and added, by their longest common subsequence. */
export function lineDiff(before: string, after: string): DiffLine[] {
  const [one, other] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  const same = (lines: string[]) => lines.map((text): DiffLine => ({ kind: "same", text }));
  return [
    ...same(one.slice(0, start)),
    ...middle(one.slice(start, one.length - end), other.slice(start, other.length - end)),
    ...same(end ? one.slice(-end) : []),
  ];
}

function middle(one: string[], other: string[]): DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: "removed", text });
  const added = (text: string): DiffLine => ({ kind: "added", text });
  if (one.length * other.length > LINES_MAX ** 2) return [...one.map(removed), ...other.map(added)];
  const width = other.length + 1;
  const common = new Uint32Array((one.length + 1) * width);
  const at = (row: number, column: number) => common[row * width + column] ?? 0;
  for (let row = one.length - 1; row >= 0; row -= 1)
    for (let column = other.length - 1; column >= 0; column -= 1)
      common[row * width + column] =
        one[row] === other[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
  const lines: DiffLine[] = [];
  let [row, column] = [0, 0];
  while (row < one.length || column < other.length) {
    const [left, right] = [one[row], other[column]];
    if (left !== undefined && left === right) {
      lines.push({ kind: "same", text: left });
      row += 1;
      column += 1;
    } else if (right === undefined || (left !== undefined && at(row + 1, column) >= at(row, column + 1))) {
      lines.push(removed(left ?? ""));
      row += 1;
    } else {
      lines.push(added(right));
      column += 1;
    }
  }
  return lines;
}
