// Runs before anything is painted, so that a dark page never begins with a white flash.
(() => {
  let theme = "system";
  try {
    theme = JSON.parse(localStorage.getItem("nexus.preferences") ?? "{}").theme ?? "system";
  } catch {
    // Storage may be closed to us; then the system decides.
  }
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
