"use strict";
// Search, filters, enlarged pictures and the exported table of sheets. Texts enter the page as textContent only.
(() => {
  const sheets = new Map();
  const dialog = makeDialog();
  let opened = null;

  function makeSheet(root) {
    const form = root.querySelector(".controls");
    const tiles = [...root.querySelectorAll(".tile")].map((node) => ({
      node,
      text: [node.textContent, ...Object.values(node.dataset)].join("\n").toLowerCase(),
    }));
    const sheet = { root, form, tiles, query: new Map() };
    if (form) {
      form.hidden = false;
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("input", () => readForm(sheet));
      form.addEventListener("reset", () => setTimeout(() => readForm(sheet)));
      form.querySelector(".export")?.addEventListener("click", (event) => exportTable(sheet, event.currentTarget));
    }
    for (const { node } of tiles) {
      node.querySelector(".open").addEventListener("click", () => openTile(sheet, node));
    }
    show(sheet);
    return sheet;
  }

  function readForm(sheet) {
    sheet.query = new Map();
    for (const list of sheet.form.querySelectorAll("[data-facet]")) {
      if (list.value) sheet.query.set(list.dataset.facet, list.value);
    }
    show(sheet);
  }

  function show(sheet) {
    const field = (name) => (sheet.form?.elements[name]?.value ?? "").trim();
    const words = field("search").toLowerCase().split(/\s+/).filter(Boolean);
    const layer = field("layer");
    let number = 0;
    for (const { node, text } of sheet.tiles) {
      const fits = [...sheet.query].every(([name, value]) => (node.dataset[name] ?? "").split("\n").includes(value));
      node.hidden = !(fits && words.every((word) => text.includes(word)));
      number += node.hidden ? 0 : 1;
      const layers = [...node.querySelectorAll("[data-layer]")];
      for (const image of layers) image.hidden = image.dataset.layer !== layer;
      node.querySelector(".photo").hidden = layers.some((image) => !image.hidden);
    }
    for (const group of sheet.root.querySelectorAll(".group")) {
      group.hidden = !group.querySelector(".tile:not([hidden])");
    }
    const status = sheet.form?.querySelector(".shown");
    if (!status) return;
    const chosen = [...sheet.query].map(([name, value]) => `${nameFacet(sheet, name)}: ${value}`);
    const what = chosen.length ? ` (${chosen.join(", ")})` : "";
    const total = sheet.tiles.length;
    status.textContent =
      number === total ? `All ${total} pictures of this sheet.` : `${number} of the ${total} pictures of this sheet${what}.`;
  }

  function nameFacet(sheet, name) {
    return sheet.form.elements[name]?.labels?.[0]?.firstChild.textContent ?? name;
  }

  // "#mistakes?true=cat&predicted=dog" shows these tiles of the sheet.
  function followHash() {
    const [anchor, query] = location.hash.slice(1).split("?");
    const sheet = sheets.get(anchor);
    if (!sheet || query === undefined) return;
    sheet.form?.reset();
    sheet.query = new Map(new URLSearchParams(query));
    for (const list of sheet.form?.querySelectorAll("[data-facet]") ?? []) {
      list.value = sheet.query.get(list.dataset.facet) ?? "";
    }
    setTimeout(() => {
      sheet.query = new Map(new URLSearchParams(query));
      show(sheet);
      document.getElementById(anchor).scrollIntoView();
    });
  }

  function exportTable(sheet, button) {
    const rows = [JSON.parse(button.dataset.columns)];
    for (const list of sheet.root.querySelectorAll(".choice")) {
      if (list.value) rows.push(JSON.parse(list.value));
    }
    const quote = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    const text = rows.map((row) => row.map((cell) => quote(String(cell))).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function make(tag, parent, className = "", text = "") {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }

  function makeDialog() {
    const node = make("dialog", document.body);
    node.setAttribute("aria-label", "Enlarged picture");
    node.tabIndex = -1;
    const parts = { node, pictures: make("div", node, "pictures"), text: make("div", node, "text") };
    const buttons = make("div", node, "buttons");
    for (const [label, step] of [["Previous", -1], ["Next", 1], ["Close", 0]]) {
      const button = make("button", buttons, "", label);
      button.type = "button";
      button.addEventListener("click", () => (step ? move(step) : node.close()));
    }
    node.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") move(-1);
      else if (event.key === "ArrowRight") move(1);
    });
    node.addEventListener("click", (event) => event.target === node && node.close());
    node.addEventListener("close", () => opened?.tile.querySelector(".open").focus());
    return parts;
  }

  function openTile(sheet, tile) {
    opened = { sheet, tile };
    const button = tile.querySelector(".open");
    const photo = button.querySelector(".photo");
    dialog.pictures.replaceChildren();
    dialog.text.replaceChildren();
    addPicture(photo, photo.alt, "", button.dataset.detail);
    for (const layer of button.querySelectorAll("[data-layer]")) {
      addPicture(layer, `${photo.alt}, ${layer.dataset.layer}`, layer.dataset.layer);
    }
    for (const line of tile.querySelectorAll(".caption > *")) {
      make("p", dialog.text, "").append(line.cloneNode(true));
    }
    if (tile.dataset.search) make("p", dialog.text, "note", tile.dataset.search);
    if (dialog.node.open) return;
    dialog.node.showModal();
    dialog.node.focus();
  }

  function addPicture(shown, alternative, title, larger) {
    const figure = make("figure", dialog.pictures);
    const image = make("img", figure);
    image.src = larger ?? shown.src;
    // The style sheet fills in a picture that the page shows several times.
    if (!larger && shown.dataset.same) image.dataset.same = shown.dataset.same;
    image.alt = alternative;
    if (title) make("figcaption", figure, "", title);
  }

  function move(step) {
    const shown = opened.sheet.tiles.map(({ node }) => node).filter((node) => !node.hidden);
    const place = shown.indexOf(opened.tile) + step;
    if (place >= 0 && place < shown.length) openTile(opened.sheet, shown[place]);
  }

  for (const root of document.querySelectorAll(".sheet")) sheets.set(root.dataset.sheet, makeSheet(root));
  for (const link of document.querySelectorAll("a[data-show]")) {
    link.href = `${link.getAttribute("href")}?${link.dataset.show}`;
    link.addEventListener("click", () => link.href === location.href && followHash());
  }
  window.addEventListener("hashchange", followHash);
  followHash();
})();
