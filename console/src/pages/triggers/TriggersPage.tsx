export function TriggersPage() { return <p>TriggersPage</p>; }
