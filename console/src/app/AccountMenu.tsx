import { CircleUser } from "lucide-react";

import { IconButton } from "~/ui/Button";

export function AccountMenu() {
  return <IconButton label="Account" icon={CircleUser} />;
}
