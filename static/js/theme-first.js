// Runs before the first paint, or a dark room gets a white flash. Not a module: modules wait for the whole page.
(() => {
  try {
    const theme = localStorage.getItem("greenwave.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's choice holds then.
  }
})();
