import { useQueryErrorResetBoundary } from "@tanstack/react-query";
import { Link, useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { Compass } from "lucide-react";

import { ProblemView } from "~/components/ProblemView";
import { buttonClass } from "~/ui/Button";
import { Empty } from "~/ui/layout";

/** Stands in for a page that could not be shown. */
export function ErrorPage({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const { reset: forget } = useQueryErrorResetBoundary();
  const again = () => {
    forget();
    reset();
    void router.invalidate();
  };
  return (
    <main className="flex h-full items-center overflow-y-auto">
      <ProblemView error={error} onRetry={again} />
    </main>
  );
}

export function MissingPage() {
  return (
    <main className="flex h-full flex-col">
      <Empty icon={Compass} title="There is no such page">
        <p>The address may be mistyped, or of another version of Nexus.</p>
        <Link to="/" className={`${buttonClass()} self-center`}>
          Go to the overview
        </Link>
      </Empty>
    </main>
  );
}
