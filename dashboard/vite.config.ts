import { defineConfig } from "vite";

// Nothing is inlined: the page's policy allows no scripts or styles of its own text.
export default defineConfig({
  build: {
    outDir: "../python/tuike/admin/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
  },
  // `npx vite` beside a running instance: the page reloads as it is edited
  server: { proxy: { "/v1": "http://127.0.0.1:8081" } },
});
