import { usePreferences } from "~/app/preferences";
import { useNow } from "~/hooks/useNow";
import { formatClock, formatDay, formatMoment, formatRelative, sameDay } from "~/lib/time";

/** A moment, as far as it is from now; the whole of it when it is pointed at. */
export function Ago({ at }: { at: string }) {
  const { zone } = usePreferences();
  const date = new Date(at);
  return (
    <time dateTime={at} title={formatMoment(date, zone)} className="nums whitespace-nowrap">
      {formatRelative(date, useNow())}
    </time>
  );
}

/** A moment to the millisecond; its day only when that is not today. */
export function Clock({ at }: { at: string }) {
  const { zone } = usePreferences();
  const date = new Date(at);
  const today = sameDay(date, new Date(), zone);
  return (
    <time dateTime={at} title={formatMoment(date, zone)} className="nums whitespace-nowrap">
      {!today && `${formatDay(date, zone)} `}
      {formatClock(date, zone)}
    </time>
  );
}

/** A moment with all that belongs to it. */
export function Moment({ at }: { at: string }) {
  const { zone } = usePreferences();
  const date = new Date(at);
  return (
    <time dateTime={at} className="nums">
      {formatMoment(date, zone)} <span className="text-ink-3">({formatRelative(date, useNow())})</span>
    </time>
  );
}
