export function FunctionPage() { return <p>FunctionPage</p>; }
