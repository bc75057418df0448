import { Tooltip as Radix } from "radix-ui";
import type { ReactNode } from "react";

import { Keys } from "./Keys";

export function Tooltip({ text, keys, children }: { text: ReactNode; keys?: string[]; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          sideOffset={5}
          collisionPadding={8}
          className="z-50 flex max-w-80 animate-appear items-center gap-2 rounded-md bg-solid px-2 py-1 text-xs text-on-solid shadow-pop"
        >
          {text}
          {keys && <Keys keys={keys} tone="on-solid" />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
