import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";

import { cx } from "./cx";

/** How long a button says that it has copied. */
const SAID_MS = 1_500;

export function useCopy(): [copied: boolean, copy: (text: string) => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return [copied, (text) => void navigator.clipboard.writeText(text).then(() => setCopied(true))];
}

export function CopyButton({ text, label, className }: { text: string; label: string; className?: string }) {
  const [copied, copy] = useCopy();
  const Icon = copied ? Check : CopyIcon;
  return (
    <button
      type="button"
      aria-label={copied ? "Copied" : label}
      title={label}
      onClick={() => copy(text)}
      className={cx("inline-flex size-6 shrink-0 items-center justify-center rounded-md text-ink-3 hover:bg-hover hover:text-ink", className)}
    >
      <Icon aria-hidden className={cx("size-3.5", copied && "text-ok")} />
    </button>
  );
}

/** A command to be copied. */
export function Command({ text, label = "Copy the command", prompt = true }: { text: string; label?: string; prompt?: boolean }) {
  return (
    <div className="flex items-start gap-2 rounded-lg bg-sunken py-1.5 pr-1.5 pl-3 font-mono text-xs leading-6">
      {prompt && (
        <span aria-hidden className="text-ink-3 select-none">
          $
        </span>
      )}
      <code className="min-w-0 flex-1 break-words whitespace-pre-wrap">{text}</code>
      <CopyButton text={text} label={label} />
    </div>
  );
}
