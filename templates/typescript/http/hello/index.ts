interface Greeting {
  name?: string;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const name = new URL(request.url).searchParams.get("name") ?? (await nameInBody(request)) ?? "you";
    console.log("greeting", name);
    return new Response(`Hello, ${name}!\n`);
  },
};

async function nameInBody(request: Request): Promise<string | undefined> {
  const text = await request.text();
  return text ? (JSON.parse(text) as Greeting | null)?.name : undefined;
}
