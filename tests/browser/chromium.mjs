// Finds the browser of this machine: none is downloaded.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const ELSEWHERE = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

// Nothing from outside, nothing kept, nothing drawn by a graphics card.
export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const MISSING = `Chromium is missing: the browser tests need it.
  Debian, Ubuntu:  apt-get install chromium
  macOS:           brew install --cask chromium
  elsewhere:       put chromium or google-chrome on the PATH, or its path into the variable CHROMIUM`;

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a Chromium, or undefined. */
export function findChromium() {
  const wished = process.env.CHROMIUM;
  if (wished) return isProgram(wished) ? wished : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter).concat("/usr/bin", "/snap/bin");
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))
    .concat(ELSEWHERE)
    .find(isProgram);
}
