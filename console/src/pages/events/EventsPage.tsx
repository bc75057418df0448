export function EventsPage() { return <p>EventsPage</p>; }
