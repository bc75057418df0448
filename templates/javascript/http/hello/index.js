export default {
  async fetch(request) {
    const name = new URL(request.url).searchParams.get("name") ?? (await nameInBody(request)) ?? "you";
    console.log("greeting", name);
    return new Response(`Hello, ${name}!\n`);
  },
};

async function nameInBody(request) {
  const text = await request.text();
  return text ? JSON.parse(text)?.name : undefined;
}
