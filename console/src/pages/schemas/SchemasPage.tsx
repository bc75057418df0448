export function SchemasPage() { return <p>SchemasPage</p>; }
