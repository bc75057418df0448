import { lazy, Suspense, type ComponentProps } from "react";

const Editor = lazy(() => import("./SourceEditor"));

/** The text of a file, read only; loaded when it is needed. */
export function SourceView(props: ComponentProps<typeof Editor>) {
  return (
    <Suspense fallback={<div role="status" aria-label="Loading" className="skeleton rounded-lg" style={{ height: props.heightMax }} />}>
      <Editor {...props} />
    </Suspense>
  );
}
