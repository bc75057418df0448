export function FunctionsPage() { return <p>FunctionsPage</p>; }
