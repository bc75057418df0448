export function InvocationPage() { return <p>InvocationPage</p>; }
