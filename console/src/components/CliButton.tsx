import { SquareTerminal } from "lucide-react";

import { IconButton } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Popover } from "~/ui/Popover";

/** The same as a command and as a request: what the console shows can be had anywhere. */
export function CliButton({ command, request }: { command: string; request?: string }) {
  return (
    <Popover trigger={<IconButton label="The same on the command line" icon={SquareTerminal} />} label="Command line">
      <div className="flex w-120 max-w-full flex-col gap-2">
        <p className="text-xs text-ink-3">What you see here, on the command line</p>
        <Command text={command} />
        {request && (
          <>
            <p className="mt-1 text-xs text-ink-3">and over HTTP</p>
            <Command text={request} label="Copy the request" />
          </>
        )}
      </div>
    </Popover>
  );
}
