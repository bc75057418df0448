import type { InfiniteData } from "@tanstack/react-query";
import { useEffect, useEffectEvent } from "react";

import { formatCount } from "~/lib/format";
import { Clock } from "./Time";

/** A search goes on by itself until it has found this many, */
const ENOUGH = 50;
/** or has asked this often. */
const PARTS_MAX = 40;

interface Part {
  items: unknown[];
  looked_at?: number;
  back_to?: string | null;
}

/** The part of an infinite query that a search needs. */
interface Search {
  data: InfiniteData<Part, unknown> | undefined;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** How far a search in payloads has come: it reads records one after the other, part by part. */
export function SearchProgress({ search }: { search: Search }) {
  const { data, hasNextPage, isFetchingNextPage } = search;
  const parts = data?.pages ?? [];
  const found = parts.reduce((sum, part) => sum + part.items.length, 0);
  const looked = parts.reduce((sum, part) => sum + (part.looked_at ?? 0), 0);
  const back = parts.findLast((part) => part.back_to)?.back_to;
  const goOn = useEffectEvent(() => void search.fetchNextPage());
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && found < ENOUGH && parts.length < PARTS_MAX) goOn();
  }, [hasNextPage, isFetchingNextPage, found, parts.length]);
  return (
    <p role="status" className="flex flex-wrap items-center justify-center gap-x-2 text-xs text-ink-3">
      <span className="nums">
        {formatCount(found)} found in {formatCount(looked)} that were looked into
      </span>
      {back && (
        <span>
          , back to <Clock at={back} />
        </span>
      )}
      {isFetchingNextPage && <span>Searching…</span>}
      {hasNextPage && !isFetchingNextPage && (
        <button type="button" onClick={() => void search.fetchNextPage()} className="font-medium link">
          Search further
        </button>
      )}
      {!hasNextPage && <span>That is all.</span>}
    </p>
  );
}
