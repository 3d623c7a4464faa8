// What can be said of a page by looking at it: structure, names, colours, sizes. Runs in the page; returns what is wrong.

/** `phone`: whether fingers must hit everything. `searches`, `navs`: how many of them a page has, at least and at most. */
export function look({ phone, fingerPx, searches = [1, 1], navs = [1, 9] }) {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const about = (element) => {
    const text = (element.getAttribute("aria-label") ?? element.innerText ?? "").trim().slice(0, 40);
    return `<${element.localName}${element.id ? `#${element.id}` : ""}${element.className ? `.${element.className}` : ""}> “${text}”`;
  };
  const isShown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const isClipped = (element) => element.closest(".vh:not(:focus-visible), .skip:not(:focus)") !== null;

  // Structure.
  if (document.documentElement.lang === "") wrong.push("no language");
  if (document.title.trim() === "") wrong.push("no title");
  for (const [selector, least, most] of [
    ["h1", 1, 1],
    ["main", 1, 1],
    ["body > header", 1, 1],
    ["body > footer", 1, 1],
    ["nav", ...navs],
    ["[role=search], search", ...searches],
  ]) {
    const count = all(selector).length;
    if (count < least || count > most) wrong.push(`${count} × ${selector}`);
  }
  if (all("nav").length > 1) {
    for (const nav of all("nav:not([aria-label], [aria-labelledby])")) wrong.push(`one of several nav without a name: ${about(nav)}`);
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) wrong.push(`id ${id} more than once`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(" ")) {
        if (!document.getElementById(id)) wrong.push(`${attribute} names ${id}, which is not there`);
      }
    }
  }

  // Names.
  for (const image of all("img")) {
    if (!image.hasAttribute("alt")) wrong.push(`no alt: ${image.src}`);
    if (image.complete && image.naturalWidth === 0 && isShown(image)) wrong.push(`does not show: ${image.src}`);
    if (!image.hasAttribute("width") || !image.hasAttribute("height")) wrong.push(`moves the page when it comes: ${image.src}`);
  }
  for (const field of all("input:not([type=hidden]), select, textarea")) {
    const named = field.labels?.length > 0 || field.getAttribute("aria-label") || field.getAttribute("aria-labelledby");
    if (!named) wrong.push(`no label: ${field.name}`);
  }
  for (const doer of all("a[href], button, summary")) {
    if (doer.closest("[aria-hidden=true]")) {
      if (doer.tabIndex >= 0) wrong.push(`hidden, yet Tab comes there: ${about(doer)}`);
      continue;
    }
    const pictures = [...doer.querySelectorAll("img")].map((image) => image.alt).join("");
    const name = doer.getAttribute("aria-label") ?? doer.textContent + pictures;
    if (name.trim() === "") wrong.push(`no name: ${doer.outerHTML.slice(0, 120)}`);
  }

  // Width.
  const over = document.scrollingElement.scrollWidth - document.documentElement.clientWidth;
  if (over > 0) {
    const far = all("body *").filter((element) => element.getBoundingClientRect().right > innerWidth + 1);
    wrong.push(`${over} px wider than the window: ${far.slice(0, 3).map(about).join(", ")}`);
  }

  // Colours.
  const parse = (text) => {
    const [r, g, b, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return text.startsWith("rgb") ? [r, g, b, a] : undefined;
  };
  const over2 = ([r, g, b, a], [r2, g2, b2]) => [r, g, b].map((c, at) => c * a + [r2, g2, b2][at] * (1 - a)).concat(1);
  const light = (color) => {
    const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((x, y) => x - y);
    return (bright + 0.05) / (dark + 0.05);
  };
  /** What is behind a text; nothing when a picture or a gradient is. */
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return undefined;
      const color = parse(style.backgroundColor);
      if (color?.[3] > 0) layers.push(color);
      if (color?.[3] === 1) return layers.reduceRight((under, layer) => over2(layer, under), layers.at(-1));
    }
    return undefined;
  };
  let judged = 0;
  for (const element of all("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
    if (!text || !isShown(element) || isClipped(element)) continue;
    if (element.closest("svg, option") || element.closest("label")?.querySelector(":disabled")) continue;
    const style = getComputedStyle(element);
    const color = parse(style.color);
    const ground = behind(element);
    if (!color || !ground) continue;
    judged += 1;
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(over2(color, ground), ground);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${about(element)}`);
  }
  if (judged < 5) wrong.push(`only ${judged} texts could be judged`);

  // Fingers.
  if (phone) {
    for (const element of all("a[href], button, summary, select, input:not([type=hidden], [type=radio], [type=checkbox]), label:has([type=radio], [type=checkbox])")) {
      if (!isShown(element) || isClipped(element) || element.closest("[aria-hidden=true]")) continue;
      // A link within a sentence is as high as the sentence.
      const sentence = element.localName === "a" && getComputedStyle(element).display === "inline" && element.closest("p");
      if (sentence && sentence.innerText.trim() !== element.innerText.trim()) continue;
      const isHit = (target) => {
        const box = target.getBoundingClientRect();
        return box.height >= fingerPx && box.width >= fingerPx;
      };
      // A title may be small where the picture above it leads to the same place.
      const elsewhere = element.localName === "a" ? all("a[href]").filter((link) => link.href === element.href && isShown(link)) : [];
      if (!isHit(element) && !elsewhere.some(isHit)) {
        const box = element.getBoundingClientRect();
        wrong.push(`${Math.round(box.width)} × ${Math.round(box.height)} px to hit: ${about(element)}`);
      }
    }
  }
  return wrong;
}
