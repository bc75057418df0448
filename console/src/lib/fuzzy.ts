/**
 * How well a text fits what was typed: 0 is not at all. All letters must come in their order; beginnings of words and
 * letters in a row count more.
 */
export function score(text: string, typed: string): number {
  const where = text.toLowerCase();
  const wanted = typed.toLowerCase().replaceAll(/\s+/g, "");
  if (!wanted) return 1;
  let total = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = where.indexOf(letter, at + 1);
    if (next < 0) return 0;
    if (next === at + 1) total += 3;
    if (next === 0 || /[\s/_.:-]/.test(where.charAt(next - 1))) total += 4;
    total += 1;
    at = next;
  }
  return total / (1 + where.length / 60);
}

/** The best of many, best first; equal ones stay in their order. */
export function best<T>(items: readonly T[], typed: string, text: (item: T) => string, limit: number): T[] {
  return items
    .map((item) => ({ item, score: score(text(item), typed) }))
    .filter((entry) => entry.score > 0)
    .toSorted((one, other) => other.score - one.score)
    .slice(0, limit)
    .map((entry) => entry.item);
}
