"use strict";
// The map of images: a canvas that is panned and zoomed, a legend, a search, and a list of what they show. Texts enter
// the page as textContent only.
(() => {
  const TYPES = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c6d31", "#7b5cc9", "#b5bd00", "#c2185b",
    "#5d7f99", "#a8593a", "#2e7d32", "#f06292", "#00acc1", "#9e7cc1", "#6d8b00", "#ef8a62", "#3f51b5"];
  const STEPS = ["#440154", "#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#dfd016"];
  const OTHERS = "#8a949e";
  const MAX_LISTED = 100;
  for (const root of document.querySelectorAll(".map[data-map]")) start(root);

  function start(root) {
    const data = JSON.parse(document.getElementById(root.dataset.map).textContent);
    const canvas = root.querySelector(".plane canvas");
    const pen = canvas.getContext("2d");
    const tip = root.querySelector(".tip");
    const form = root.querySelector(".controls");
    const view = { x: 0.5, y: 0.5, scale: 1 };
    const state = { coloring: 0, picked: null, words: [], chosen: -1, hovered: -1, ranks: [], shown: null };
    const pictures = new Map(data.pictured.map((index, place) => [index, place]));
    const sheets = data.sheets.map((source) => {
      const image = new Image();
      image.addEventListener("load", () => draw());
      image.src = source;
      return image;
    });
    const lower = data.names.map((name) => name.toLowerCase());
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = data.names.findIndex((_, index) => isShown(index));
      if (first >= 0) choose(first, true);
    });
    form.elements.search.addEventListener("input", () => {
      state.words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      filter();
    });
    form.elements.coloring.addEventListener("change", () => {
      state.coloring = Number(form.elements.coloring.value);
      state.picked = null;
      makeLegend();
      filter();
    });
    for (const button of form.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => (button.dataset.zoom === "0" ? reset() : zoom(Number(button.dataset.zoom))));
    }

    // What is shown

    function isShown(index) {
      const of = data.colorings[state.coloring]?.of;
      return (state.picked === null || state.ranks[of[index]] === state.picked)
        && state.words.every((word) => lower[index].includes(word));
    }

    function filter() {
      const all = state.picked === null && !state.words.length;
      state.shown = all ? null : new Set([...data.names.keys()].filter(isShown));
      listFound();
      draw();
    }

    function makeLegend() {
      const legend = root.querySelector(".legend");
      legend.replaceChildren();
      const coloring = data.colorings[state.coloring];
      if (!coloring) return;
      const counts = coloring.values.map(() => 0);
      for (const value of coloring.of) counts[value] += 1;
      const order = [...counts.keys()];
      if (!coloring.ordered) order.sort((a, b) => counts[b] - counts[a] || a - b);
      const colors = coloring.ordered ? STEPS : TYPES;
      state.ranks = [];
      order.forEach((value, rank) => { state.ranks[value] = Math.min(rank, colors.length); });
      state.colors = coloring.ordered
        ? order.map((_, rank) => STEPS[Math.round((rank * (STEPS.length - 1)) / Math.max(1, order.length - 1))])
        : [...TYPES, OTHERS];
      const shown = order.slice(0, colors.length).map((value, rank) => [coloring.values[value], counts[value], rank]);
      const rest = order.slice(colors.length);
      if (rest.length) {
        shown.push([`${rest.length} others`, rest.reduce((sum, value) => sum + counts[value], 0), colors.length]);
      }
      for (const [name, count, rank] of shown) {
        const button = make("button", make("li", legend));
        button.type = "button";
        button.setAttribute("aria-pressed", "false");
        make("span", button, "swatch").style.background = state.colors[rank];
        make("span", button, "name", name);
        make("span", button, "count", count.toLocaleString("en"));
        button.addEventListener("click", () => {
          state.picked = state.picked === rank ? null : rank;
          for (const other of legend.querySelectorAll("button")) {
            other.setAttribute("aria-pressed", String(other === button && state.picked !== null));
          }
          filter();
        });
      }
    }

    function listFound() {
      const found = root.querySelector(".found");
      const body = found.querySelector("tbody");
      body.replaceChildren();
      let number = 0;
      for (let index = 0; index < data.names.length; index += 1) {
        if (state.shown && !state.shown.has(index)) continue;
        number += 1;
        if (number > MAX_LISTED) continue;
        const row = make("tr", body);
        const button = make("button", make("td", row), "", data.names[index]);
        button.type = "button";
        button.addEventListener("click", () => choose(index, true));
        for (const coloring of data.colorings) make("td", row, "", coloring.values[coloring.of[index]]);
      }
      const total = data.names.length.toLocaleString("en");
      form.querySelector(".shown").textContent = state.shown
        ? `${number.toLocaleString("en")} of the ${total} images on the map.` : `All ${total} images on the map.`;
      found.querySelector("summary").textContent = number > MAX_LISTED
        ? `The first ${MAX_LISTED} of them as a list` : "The same as a list";
    }

    // Drawing

    function toScreen(index) {
      const side = Math.min(canvas.width, canvas.height) * 0.94 * view.scale;
      return [canvas.width / 2 + (data.x[index] / 9999 - view.x) * side, canvas.height / 2 + (data.y[index] / 9999 - view.y) * side];
    }

    function draw() {
      if (!draw.asked) draw.asked = requestAnimationFrame(() => { draw.asked = 0; paint(); });
    }

    function paint() {
      const ratio = devicePixelRatio || 1;
      const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      pen.clearRect(0, 0, width, height);
      const count = data.x.length;
      const radius = ratio * Math.min(7, Math.max(1.2, (120 / Math.sqrt(count)) * Math.sqrt(view.scale)));
      const of = data.colorings[state.coloring]?.of;
      const groups = new Map();
      for (let index = 0; index < count; index += 1) {
        const [x, y] = toScreen(index);
        if (x < -radius || y < -radius || x > width + radius || y > height + radius) continue;
        const hidden = state.shown && !state.shown.has(index);
        const color = hidden ? "" : of ? state.colors[state.ranks[of[index]]] : TYPES[0];
        if (!groups.has(color)) groups.set(color, []);
        groups.get(color).push(x, y, index);
      }
      const faded = groups.get("") ?? [];
      groups.delete("");
      if (radius < 3 * ratio) paintSquares(faded, groups, radius, width, height);
      else {
        paintDots(faded, OTHERS, radius, 0.25);
        for (const [color, dots] of groups) paintDots(dots, color, radius, 0.85);
      }
      paintPictures(groups, ratio);
      for (const index of [state.hovered, state.chosen]) if (index >= 0) ring(index, radius + 3 * ratio, ratio);
    }

    // Thousands of points as single pixels, without a path for each.
    function paintSquares(faded, groups, radius, width, height) {
      const image = pen.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const edge = Math.max(2, Math.round(1.8 * radius));
      const fill = (dots, color, opacity) => {
        const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
        const pixel = ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
        for (let place = 0; place < dots.length; place += 3) {
          const left = Math.max(0, Math.round(dots[place] - edge / 2));
          const right = Math.min(width, Math.round(dots[place] + edge / 2));
          const bottom = Math.min(height, Math.round(dots[place + 1] + edge / 2));
          for (let row = Math.max(0, Math.round(dots[place + 1] - edge / 2)); row < bottom; row += 1) {
            pixels.fill(pixel, row * width + left, row * width + right);
          }
        }
      };
      fill(faded, OTHERS, 60);
      for (const [color, dots] of groups) fill(dots, color, 225);
      pen.putImageData(image, 0, 0);
    }

    function paintDots(dots, color, radius, opacity) {
      pen.globalAlpha = opacity;
      pen.fillStyle = color;
      pen.beginPath();
      for (let place = 0; place < dots.length; place += 3) {
        pen.moveTo(dots[place] + radius, dots[place + 1]);
        pen.arc(dots[place], dots[place + 1], radius, 0, 7);
      }
      pen.fill();
      pen.globalAlpha = 1;
    }

    // Zoomed in far enough, the pictures themselves.
    function paintPictures(groups, ratio) {
      const inside = [...groups.values()].reduce((sum, dots) => sum + dots.length / 3, 0);
      if (inside > 150 || view.scale < 2) return;
      const edge = 44 * ratio;
      for (const [color, dots] of groups) {
        for (let place = 0; place < dots.length; place += 3) {
          if (!pictures.has(dots[place + 2])) continue;
          const [left, top] = [dots[place] - edge / 2, dots[place + 1] - edge / 2];
          pen.fillStyle = color;
          pen.fillRect(left - 2 * ratio, top - 2 * ratio, edge + 4 * ratio, edge + 4 * ratio);
          paintPicture(pen, dots[place + 2], left, top, edge);
        }
      }
    }

    function paintPicture(target, index, left, top, edge) {
      const place = pictures.get(index);
      const image = sheets[Math.floor(place / data.tilesOfSheet)];
      const within = place % data.tilesOfSheet;
      if (!image.complete || !image.naturalWidth) return;
      const [column, row] = [within % data.columns, Math.floor(within / data.columns)];
      target.drawImage(image, column * data.tile, row * data.tile, data.tile, data.tile, left, top, edge, edge);
    }

    function ring(index, radius, ratio) {
      const [x, y] = toScreen(index);
      pen.strokeStyle = getComputedStyle(root).color;
      pen.lineWidth = 2 * ratio;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.stroke();
    }

    // One image: beside the pointer, and chosen

    function describe(index, parent, edge) {
      const pictured = pictures.has(index) ? index : nearestPictured(index);
      if (pictured >= 0) {
        const small = make("canvas", parent);
        [small.width, small.height] = [edge, edge];
        small.setAttribute("role", "img");
        small.setAttribute("aria-label", data.names[pictured]);
        paintPicture(small.getContext("2d"), pictured, 0, 0, edge);
        if (pictured !== index) make("p", parent, "", `Shown: ${data.names[pictured]}, the nearest with a picture here.`);
      }
      make("p", parent, "", data.names[index]);
      for (const coloring of data.colorings) {
        make("p", parent, "", `${coloring.title}: ${coloring.values[coloring.of[index]]}`);
      }
    }

    function nearestPictured(index) {
      let [best, least] = [-1, Infinity];
      for (const other of pictures.keys()) {
        const distance = (data.x[other] - data.x[index]) ** 2 + (data.y[other] - data.y[index]) ** 2;
        if (distance < least) [best, least] = [other, distance];
      }
      return best;
    }

    function choose(index, centres) {
      state.chosen = index;
      const card = root.querySelector(".card");
      card.replaceChildren();
      describe(index, card, 128);
      const k = data.neighboursEach;
      if (k) {
        make("p", card, "", "Most alike:");
        const list = make("ul", card, "near");
        for (const other of data.neighbours.slice(index * k, (index + 1) * k)) {
          const button = make("button", make("li", list));
          button.type = "button";
          if (pictures.has(other)) {
            const small = make("canvas", button);
            small.width = small.height = 64;
            paintPicture(small.getContext("2d"), other, 0, 0, 64);
          }
          make("span", button, "", data.names[other].split("/").pop());
          button.title = data.names[other];
          button.addEventListener("click", () => choose(other, true));
        }
      }
      if (centres) {
        [view.x, view.y] = [data.x[index] / 9999, data.y[index] / 9999];
        view.scale = Math.max(view.scale, 3);
      }
      draw();
    }

    function findAt(x, y) {
      const ratio = devicePixelRatio || 1;
      let [best, least] = [-1, (14 * ratio) ** 2];
      for (let index = 0; index < data.x.length; index += 1) {
        if (state.shown && !state.shown.has(index)) continue;
        const [left, top] = toScreen(index);
        const distance = (left - x * ratio) ** 2 + (top - y * ratio) ** 2;
        if (distance < least) [best, least] = [index, distance];
      }
      return best;
    }

    function hover(index, x, y) {
      if (index === state.hovered) return;
      state.hovered = index;
      tip.replaceChildren();
      tip.hidden = index < 0;
      if (index >= 0) {
        describe(index, tip, 96);
        tip.style.left = `${Math.min(x + 14, Math.max(0, canvas.clientWidth - 230))}px`;
        tip.style.top = y > canvas.clientHeight / 2 ? "auto" : `${y + 14}px`;
        tip.style.bottom = y > canvas.clientHeight / 2 ? `${canvas.clientHeight - y + 14}px` : "auto";
      }
      draw();
    }

    // Moving about

    function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
      const scale = Math.min(200, Math.max(0.5, view.scale * factor));
      const side = Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94;
      const change = 1 / (side * view.scale) - 1 / (side * scale);
      view.x += (x - canvas.clientWidth / 2) * change;
      view.y += (y - canvas.clientHeight / 2) * change;
      view.scale = scale;
      draw();
    }

    function move(right, down) {
      const side = Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94 * view.scale;
      view.x -= right / side;
      view.y -= down / side;
      draw();
    }

    function reset() {
      Object.assign(view, { x: 0.5, y: 0.5, scale: 1 });
      draw();
    }

    const pointers = new Map();
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      canvas.setPointerCapture(event.pointerId);
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        hover(findAt(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
        return;
      }
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      const [right, down] = [event.offsetX - before[0], event.offsetY - before[1]];
      moved += Math.abs(right) + Math.abs(down);
      if (other) {
        const reach = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
        zoom(reach([event.offsetX, event.offsetY]) / Math.max(1, reach(before)), other[0], other[1]);
      } else if (moved > 3) {
        canvas.classList.add("moving");
        hover(-1);
        move(right, down);
      }
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    });
    for (const ending of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(ending, (event) => {
        pointers.delete(event.pointerId);
        canvas.classList.remove("moving");
        const index = moved <= 3 && ending === "pointerup" ? findAt(event.offsetX, event.offsetY) : -1;
        if (index >= 0) choose(index, false);
      });
    }
    canvas.addEventListener("pointerleave", () => hover(-1));
    // The page scrolls, unless the map has the focus or Ctrl is held.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * 0.0015 * (event.deltaMode ? 20 : 1)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (steps[event.key]) move(...steps[event.key]);
      else if (event.key === "+" || event.key === "=") zoom(1.4);
      else if (event.key === "-") zoom(1 / 1.4);
      else if (event.key === "0") reset();
      else return;
      event.preventDefault();
    });
    new ResizeObserver(draw).observe(canvas);
    makeLegend();
    filter();
  }

  function make(tag, parent, className = "", text = "") {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }
})();
