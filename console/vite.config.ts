import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

import { licences } from "./scripts/licences.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const server = process.env["NEXUS_SERVER"] ?? "http://127.0.0.1:7070";
const token = process.env["NEXUS_TOKEN"];

// While developing, Vite stands before a running Nexus and may sign in for everybody who asks it.
const proxy = {
  target: server,
  headers: token ? { authorization: `Bearer ${token}` } : undefined,
};

export default defineConfig({
  plugins: [react(), tailwind(), licences()],
  resolve: {
    alias: {
      "~": path("./src"),
      // The page itself never scrolls, so there is nothing to lock while a dialog is open. The library would also
      // put a <style> into the page, which a strict content security policy refuses.
      "react-remove-scroll": path("./src/ui/no-scroll-lock.tsx"),
    },
  },
  build: {
    target: "es2023",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    rollupOptions: { input: { console: path("./index.html"), docs: path("./docs/index.html") } },
  },
  // Loaded late, so Vite would find them late, and load the page again in the middle of it.
  optimizeDeps: {
    include: ["@xyflow/react", "uplot", "@codemirror/lang-json", "@codemirror/lang-javascript", "@codemirror/lang-python", "@codemirror/lang-rust", "@codemirror/lint", "@codemirror/view", "@codemirror/commands"],
  },
  server: { port: 5173, proxy: { "/api": proxy, "/healthz": proxy, "/readyz": proxy } },
  preview: { proxy: { "/api": proxy } },
});
