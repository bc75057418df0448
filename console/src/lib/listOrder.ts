// The rows of the list that was looked at last: `[` and `]` on the page of one of them go to its neighbours.
let order: readonly string[] = [];

export function rememberOrder(ids: readonly string[]): void {
  order = ids;
}

export function neighbours(id: string): { newer?: string | undefined; older?: string | undefined } {
  const at = order.indexOf(id);
  return at < 0 ? {} : { newer: order[at - 1], older: order[at + 1] };
}
