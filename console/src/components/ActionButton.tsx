import type { ComponentProps } from "react";

import type { Action } from "~/app/actions";
import { shownKeys } from "~/app/shortcuts";
import { Button } from "~/ui/Button";
import { Tooltip } from "~/ui/Tooltip";

type Look = Pick<ComponentProps<typeof Button>, "look" | "size" | "busy">;

/** The button of an action: the same as its entry in the palette and its shortcut. */
export function ActionButton({ action, ...look }: { action: Action } & Look) {
  const button = (
    <Button {...look} icon={action.icon} disabledReason={action.disabledReason} onClick={action.perform}>
      {action.label}
    </Button>
  );
  if (!action.keys || action.disabledReason) return button;
  return (
    <Tooltip text={action.label} keys={shownKeys(action.keys)}>
      <span>{button}</span>
    </Tooltip>
  );
}
