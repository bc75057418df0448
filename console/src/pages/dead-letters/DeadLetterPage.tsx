export function DeadLetterPage() { return <p>DeadLetterPage</p>; }
