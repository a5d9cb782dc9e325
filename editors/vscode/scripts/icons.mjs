// Draws the marks beside sections, each in a light and a dark form: told apart by shape, not by colour alone.
import { mkdirSync, writeFileSync } from "node:fs";

const colours = {
  light: { pending: "#8a6d00", learning: "#0065c2", learned: "#2c7a2c", quiet: "#6e6e6e", failed: "#c72e2e" },
  dark: { pending: "#d7ba3d", learning: "#4daafc", learned: "#73c991", quiet: "#9d9d9d", failed: "#f48771" },
};

const shapes = {
  pending: (c) => `<circle cx="8" cy="8" r="3.6" fill="none" stroke="${c.pending}" stroke-width="1.6"/>`,
  waiting: (c) =>
    `<circle cx="8" cy="8" r="4.2" fill="none" stroke="${c.pending}" stroke-width="1.4"/>` +
    `<path d="M8 5.6V8.2L9.8 9.4" fill="none" stroke="${c.pending}" stroke-width="1.3" stroke-linecap="round"/>`,
  learning: (c) =>
    `<path d="M12.2 8A4.2 4.2 0 1 1 8 3.8" fill="none" stroke="${c.learning}" stroke-width="1.8" stroke-linecap="round"/>` +
    `<circle cx="8" cy="8" r="1.5" fill="${c.learning}"/>`,
  partly: (c) =>
    `<circle cx="8" cy="8" r="3.8" fill="none" stroke="${c.pending}" stroke-width="1.4"/>` +
    `<path d="M8 4.2A3.8 3.8 0 0 1 8 11.8Z" fill="${c.pending}"/>`,
  learned: (c) =>
    `<path d="M4.4 8.4L7 11L11.8 5.4" fill="none" stroke="${c.learned}" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`,
  untrained: (c) => `<path d="M5 8H11" stroke="${c.quiet}" stroke-width="1.6" stroke-linecap="round"/>`,
  failed: (c) =>
    `<path d="M5.2 5.2L10.8 10.8M10.8 5.2L5.2 10.8" stroke="${c.failed}" stroke-width="1.7" stroke-linecap="round"/>`,
};

const media = new URL("../media/", import.meta.url);
const svg = (inner, size = 16) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 16 16">${inner}</svg>\n`;

mkdirSync(new URL("sections/", media), { recursive: true });
for (const [theme, palette] of Object.entries(colours)) {
  for (const [name, shape] of Object.entries(shapes)) {
    writeFileSync(new URL(`sections/${name}-${theme}.svg`, media), svg(shape(palette)));
  }
}

// A page with lines of text, and the curve of a falling loss across them.
const page = (ink, curve) =>
  `<path d="M3.5 1.5H9.8L12.5 4.2V14.5H3.5Z" fill="none" stroke="${ink}" stroke-width="1.1" stroke-linejoin="round"/>` +
  `<path d="M9.5 1.8V4.5H12.2" fill="none" stroke="${ink}" stroke-width="0.9"/>` +
  `<path d="M5.2 5.6C5.9 10.6 7.4 11.8 10.8 12" fill="none" stroke="${curve}" stroke-width="1.5" stroke-linecap="round"/>`;
writeFileSync(new URL("file-light.svg", media), svg(page("#5f6a79", "#0065c2")));
writeFileSync(new URL("file-dark.svg", media), svg(page("#a9b2c0", "#4daafc")));
writeFileSync(new URL("activity.svg", media), svg(page("#000", "#000"), 24)); // the editor paints it in its own colour
writeFileSync(
  new URL("icon.svg", media),
  svg(
    `<rect width="16" height="16" rx="3" fill="#16324f"/><g transform="translate(1.6 1.6) scale(0.8)">${page("#d7e3f4", "#5cc8ff")}</g>`,
    128,
  ),
);
