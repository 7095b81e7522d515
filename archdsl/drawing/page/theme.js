// From dark to light and back, whatever the reader's system prefers.
function turnTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme === "dark"
    || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = isDark ? "light" : "dark";
}
