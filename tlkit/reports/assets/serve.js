"use strict";
(async () => {
  const find = (id) => document.getElementById(id);
  const TOKEN = "tlkit-token", MOST_CARDS = 60, AT_ONCE = 2, MOST_TRIES = 6, MOST_LABELS = 12, MOST_LISTED = 20;
  let info = null, asked = [], waiting = [], running = 0;

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const say = (text) => { find("status").textContent = text; };
  const percent = (number) => `${(100 * number).toFixed(number > 0.0995 || number === 0 ? 0 : 1)} %`;
  const format = (number) => new Intl.NumberFormat("en", { maximumSignificantDigits: 6 }).format(number);
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

  function ask(path, options = {}) {
    const token = sessionStorage.getItem(TOKEN);
    return fetch(path, { ...options, headers: token ? { Authorization: `Bearer ${token}` } : {} });
  }

  async function begin() {
    if ("token" in document.body.dataset && !sessionStorage.getItem(TOKEN)) {
      find("token").hidden = false;
      say("The server asks for its token.");
      return;
    }
    const response = await ask("info");
    if (response.status === 401) {
      find("token").hidden = false;
      say("The server has another token.");
      return;
    }
    find("token").hidden = true;
    info = await response.json();
    say("");
    drawFields();
    find("ask").hidden = false;
  }

  function drawFields() {
    const fields = find("fields");
    fields.replaceChildren();
    for (const column of info.metadata) {
      let field;
      if (column.kind === "category") {
        field = make("select", { name: column.name }, make("option", { value: "" }, "not known"));
        field.append(...column.values.map((value) => make("option", { value }, value)));
      } else {
        field = make("input", { name: column.name, inputmode: "decimal", autocomplete: "off" });
        field.placeholder = `${format(column.low)} to ${format(column.high)}`;
      }
      fields.append(make("label", {}, column.name, field));
    }
    if (info.metadata.length) fields.append(make("button", { class: "button", type: "submit" }, "Ask again with these"));
    fields.hidden = !info.metadata.length;
  }

  function add(files) {
    if (!info) return;
    for (const file of files) {
      const card = make("li", { class: "card", tabindex: "-1" });
      find("cards").prepend(card);
      const entry = { file, card, name: file.name || "picture" };
      asked.unshift(entry);
      enqueue(entry);
    }
    for (const entry of asked.splice(MOST_CARDS)) entry.card.remove();
    find("answers").hidden = !asked.length;
    find("clear").hidden = !asked.length;
  }

  function enqueue(entry) {
    entry.card.className = "card single";
    entry.card.replaceChildren(make("div", {}, make("h3", {}, entry.name), make("p", {}, "Asking the model …")));
    entry.card.setAttribute("aria-busy", "true");
    waiting.push(entry);
    next();
  }

  async function next() {
    if (running >= AT_ONCE || !waiting.length) return;
    running += 1;
    const entry = waiting.shift();
    try {
      await answer(entry);
    } catch (error) {
      drawProblem(entry, { found: "The server does not answer.", fix: "Check that it still runs, and try again." });
    }
    entry.card.removeAttribute("aria-busy");
    running -= 1;
    next();
  }

  async function answer(entry) {
    const form = new FormData();
    form.append("image", entry.file, entry.name);
    for (const field of find("fields").querySelectorAll("input, select")) if (field.value) form.append(field.name, field.value);
    for (let tries = 1; ; tries += 1) {
      const response = await ask("explain", { method: "POST", body: form });
      if (response.status === 503 && tries < MOST_TRIES) {
        await pause(Number(response.headers.get("Retry-After")) || 1);
        continue;
      }
      const payload = await response.json();
      if (response.ok) return drawAnswer(entry, payload);
      if (response.status === 401) find("token").hidden = false;
      return drawProblem(entry, payload.error);
    }
  }

  function drawProblem(entry, error) {
    const fix = error.fix.charAt(0).toUpperCase() + error.fix.slice(1);
    entry.card.className = "card single";
    entry.card.replaceChildren(
      make("div", {}, make("h3", {}, entry.name), make("p", { class: "problem" }, error.found), make("p", {}, fix)),
    );
    say(`${entry.name}: ${error.found}`);
  }

  function countObjects(objects) {
    const counts = new Map();
    for (const each of objects) counts.set(each.class_name, 1 + (counts.get(each.class_name) || 0));
    return [...counts].map(([name, number]) => `${number} × ${name}`).join(", ");
  }

  function isDark(colour) {
    const [red, green, blue] = [1, 3, 5].map((start) => (parseInt(colour.slice(start, start + 2), 16) / 255) ** 2.2);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.3;
  }

  const colourOf = (name) => info.colours[info.class_names.indexOf(name)];

  function headline(row) {
    if ("value" in row) return `${info.target}: ${format(row.value)}`;
    if (row.objects) return countObjects(row.objects) || "no objects";
    if (row.areas) return row.areas.map((each) => each.class_name).join(", ") || "background alone";
    if (row.labels) return row.labels.length ? row.labels.join(", ") : "none of the labels";
    return row.classes[0].class_name;
  }

  function drawAnswer(entry, payload) {
    const row = payload.prediction, body = make("div", {}, make("h3", {}, entry.name));
    const text = headline(row);
    body.append(make("p", { class: "answer" }, text));
    if (row.unknown) body.append(make("p", { class: "unlike" }, "Unlike the training images: check this one yourself."));
    if (row.classes && row.classes.length) body.append(drawBars(row));
    if (row.objects && row.objects.length) body.append(drawList(row.objects, "Objects, the surest first", (each) => each.score));
    if (row.areas && row.areas.length) body.append(drawList(row.areas, "Shares of the picture", (each) => each.share));
    if (payload.nearest && payload.nearest.length) body.append(drawNearest(payload.nearest));
    for (const notice of payload.notices || []) body.append(make("p", { class: "notes" }, notice));
    entry.card.className = "card";
    entry.card.replaceChildren(drawViews(entry, payload), body);
    const sure = row.classes && row.classes.length && !row.labels ? `, ${percent(row.classes[0].probability)}` : "";
    say(`${entry.name}: ${text}${sure}${row.unknown ? ", unlike the training images" : ""}`);
  }

  function drawBars(row) {
    const bars = make("ul", { class: "bars", "aria-label": "Probabilities" });
    for (const { class_name: name, probability } of row.classes) {
      const bar = make("div", { class: "bar" });
      bar.style.width = percent(probability).replace(" ", "");
      const isUnder = row.labels && !row.labels.includes(name);
      bars.append(make("li", isUnder ? { class: "under" } : {},
        make("span", { class: "name" }, name), make("span", { class: "value" }, percent(probability)),
        make("div", { class: "track", "aria-hidden": "true" }, bar)));
    }
    return bars;
  }

  function drawList(found, title, measure) {
    const list = make("ol", { class: "objects", "aria-label": title });
    for (const each of found.slice(0, MOST_LISTED)) {
      const dot = make("span", { class: "dot", "aria-hidden": "true" });
      dot.style.background = colourOf(each.class_name);
      list.append(make("li", {}, dot, make("span", { class: "name" }, each.class_name), make("span", { class: "value" }, percent(measure(each)))));
    }
    if (found.length > MOST_LISTED) list.append(make("li", { class: "notes" }, `and ${found.length - MOST_LISTED} more`));
    return list;
  }

  function drawNearest(nearest) {
    const list = make("ul");
    for (const each of nearest) {
      const picture = make("img", { alt: "", src: each.picture });
      list.append(make("li", {}, make("figure", {}, picture, make("figcaption", {}, `${each.answer} ${each.cosine.toFixed(2)}`))));
    }
    return make("div", { class: "near" }, make("h4", {}, "Nearest training photos, with the cosine"), list);
  }

  function drawViews(entry, payload) {
    const picture = make("img", { alt: `Picture ${entry.name}`, src: payload.picture });
    const frame = make("div", { class: "frame" }, picture), { box, mask, objects = [] } = payload.prediction;
    if (box) frame.append(drawOutline(box, payload.size));
    for (const each of objects.slice().reverse()) {
      const outline = drawOutline(each, payload.size);
      outline.style.borderColor = colourOf(each.class_name);
      if (objects.length > MOST_LABELS) outline.classList.add("thin");
      else outline.append(drawLabel(each));
      frame.append(outline);
    }
    const views = make("div", { class: "views" }, frame);
    const choices = [["Picture", payload.picture], ...(payload.explanations || []).map((each) => [`Why ${each.output}`, each.map])];
    if (choices.length > 1) views.append(drawSwitch(choices, picture, entry));
    if (mask) views.append(drawMask(mask, frame, entry));
    return views;
  }

  function drawMask(address, frame, entry) {
    const mask = make("img", { class: "mask", alt: "", src: address });
    const button = make("button", { type: "button", "aria-pressed": "true" }, "Mask");
    frame.append(mask);
    button.addEventListener("click", () => {
      mask.hidden = !mask.hidden;
      button.setAttribute("aria-pressed", String(!mask.hidden));
    });
    return make("div", { class: "switch", role: "group", "aria-label": `Views of ${entry.name}` }, button);
  }

  function drawOutline(box, [height, width]) {
    const outline = make("div", { class: "box", "aria-hidden": "true" });
    outline.style.left = `${100 * box.left / width}%`;
    outline.style.top = `${100 * box.top / height}%`;
    outline.style.width = `${100 * (box.right - box.left) / width}%`;
    outline.style.height = `${100 * (box.bottom - box.top) / height}%`;
    return outline;
  }

  function drawLabel(found) {
    const label = make("span", { class: "tag" }, `${found.class_name} ${percent(found.score)}`);
    label.style.background = colourOf(found.class_name);
    label.style.color = isDark(colourOf(found.class_name)) ? "#f5f7fa" : "#111820";
    return label;
  }

  function drawSwitch(choices, picture, entry) {
    const group = make("div", { class: "switch", role: "group", "aria-label": `Views of ${entry.name}` });
    const buttons = choices.map(([label, address]) => {
      const button = make("button", { type: "button", "aria-pressed": "false" }, label);
      button.addEventListener("click", () => {
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        picture.src = address;
        picture.alt = label === "Picture" ? `Picture ${entry.name}` : `Heat map of ${entry.name}: orange places speak for the answer, blue ones against it`;
      });
      return button;
    });
    group.append(...buttons);
    buttons[Math.min(1, buttons.length - 1)].click();
    return group;
  }

  for (const id of ["files", "camera"]) {
    find(id).addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
  }
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) add([...event.clipboardData.files]); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    add([...event.dataTransfer.files]);
  });
  find("fields").addEventListener("submit", (event) => { event.preventDefault(); asked.slice().reverse().forEach(enqueue); });
  find("clear").addEventListener("click", () => {
    waiting = [];
    for (const entry of asked.splice(0)) entry.card.remove();
    find("answers").hidden = find("clear").hidden = true;
    say("");
    find("files").focus();
  });
  find("token").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN, find("token-text").value.trim());
    begin();
  });
  await begin();
})();
