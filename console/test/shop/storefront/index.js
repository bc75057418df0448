import nexus from "nexus:function";

const PRODUCTS = [
  { sku: "tea", name: "Green tea", net: 7.5 },
  { sku: "pot", name: "Teapot", net: 39 },
  { sku: "cup", name: "Cup", net: 12 },
];

export default {
  async fetch(request) {
    const url = new URL(request.url);
    const [, , page, sku] = url.pathname.split("/");
    console.log("visit", url.pathname);
    if (page === "broken") throw new Error("no template for the page 'broken'");
    if (page === "loop") for (;;);
    if (page === "products" && sku) {
      const product = PRODUCTS.find((product) => product.sku === sku);
      if (!product) return Response.json({ error: `no product '${sku}'` }, { status: 404 });
      const price = nexus.call("price", { net: product.net, country: url.searchParams.get("country") ?? "DE" });
      return Response.json({ ...product, price });
    }
    return Response.json({ products: PRODUCTS, shown: new Date().toISOString() });
  },
};
