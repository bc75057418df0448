import { Slot } from "radix-ui";
import type { ReactNode } from "react";

/** Takes the place of `react-remove-scroll`; see `vite.config.ts`. */
export function RemoveScroll({ children }: { children?: ReactNode }) {
  return <Slot.Root>{children}</Slot.Root>;
}
