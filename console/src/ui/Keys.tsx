import { cx } from "./cx";

/** Keys of the keyboard. */
export function Keys({ keys, tone }: { keys: string[]; tone?: "on-solid" }) {
  return (
    <span className="inline-flex gap-0.5" aria-label={keys.join(" ")}>
      {keys.map((key, index) => (
        <kbd
          key={`${key}-${index}`}
          className={cx(
            "inline-flex h-4.5 min-w-4.5 items-center justify-center rounded-sm px-1 font-sans text-2xs",
            tone ? "bg-on-solid/15" : "border border-line text-ink-3",
          )}
        >
          {key}
        </kbd>
      ))}
    </span>
  );
}
