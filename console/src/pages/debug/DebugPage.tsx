export function DebugPage() { return <p>debug</p>; }
