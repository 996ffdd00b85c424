/**
 * Read pictures and metadata in a browser as the exported model expects them, and say what its answers mean.
 *
 * Needs `tlkit_places.js` alone. `index.html` uses it with onnxruntime-web; `readImage` and `readMetadata` can be used alone. `model` is
 * always the content of model.json. `tlkit_reader.py` does the same in Python.
 */

import { drawMask, findObjects, measureAreas } from "./tlkit_places.js";

const GREY = 128;
const BITS = 22; // of the fraction of a weight, as in Pillow

/**
 * Return the model's input as a Float32Array (height, width, 3), RGB, 0..255, and the size of the upright picture.
 *
 * The picture is a File, Blob, ImageBitmap, or an image or canvas element. Throws if the browser cannot decode it, or would
 * decode it otherwise than the model needs.
 */
export async function readImage(picture, model) {
  const isFile = picture instanceof Blob;
  if (isFile) await refuseDeepGrey(picture);
  const settings = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = isFile ? await createImageBitmap(picture, settings) : picture;
  const width = bitmap.naturalWidth ?? bitmap.width;
  const height = bitmap.naturalHeight ?? bitmap.height;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // under transparent parts
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  if (isFile) bitmap.close();
  return { pixels: Float32Array.from(resize(data, width, height, model)), width, height };
}

/** Throw if a file is a PNG of 16-bit grey: a browser would keep the upper 8 bits, whatever is black and white. */
async function refuseDeepGrey(file) {
  const head = new Uint8Array(await file.slice(0, 26).arrayBuffer());
  const isPng = String.fromCharCode(...head.subarray(1, 4)) === "PNG";
  const [bits, colours] = [head[24], head[25]];
  if (isPng && bits === 16 && colours === 0) {
    throw new Error("it is grey of 16 bits, of which a browser sees 8; the programs in Python and C++ read it");
  }
}

/** Return RGBA pixels of an upright picture at the input's size, as RGB: Pillow's bilinear resize, to one level of 255. */
export function resize(rgba, width, height, model) {
  const [rows, columns] = model.image_size;
  const [left, top, right, bottom] = findFrame(width, height, model);
  const across = findPart(left, right, width, columns);
  const down = findPart(top, bottom, height, rows);
  const shownColumns = across.last - across.first;
  const shownRows = down.last - down.first;
  let upright;
  if (startsDown(height - shownRows, width - shownColumns)) {
    const low = filter(exchange(rgba, height, width, 4), 3, width, height, down);
    upright = filter(exchange(low, width, shownRows), 3, shownRows, width, across);
  } else {
    const narrow = filter(rgba, 4, height, width, across);
    const shown = filter(exchange(narrow, height, shownColumns), 3, shownColumns, height, down);
    upright = exchange(shown, shownColumns, shownRows);
  }
  const sheet = new Uint8ClampedArray(rows * columns * 3).fill(GREY);
  for (let row = 0; row < shownRows; row++) {
    const line = upright.subarray(row * shownColumns * 3, (row + 1) * shownColumns * 3);
    sheet.set(line, ((down.first + row) * columns + across.first) * 3);
  }
  return sheet;
}

/** Say which pass comes first, as measured of Pillow 13: each rounds to 8 bits. Earlier releases start across. */
function startsDown(rowsLost, columnsLost) {
  return rowsLost > 0 && rowsLost > 2 * columnsLost;
}

/** Resize each of `lines` lines of `length` pixels: a triangle as wide as a pixel of the result, rounded to 8 bits. */
function filter(pixels, channels, lines, length, part) {
  const size = part.last - part.first;
  const start = Math.fround(part.start);
  const scale = Math.fround(Math.fround(part.stop) - start) / size;
  const support = Math.max(scale, 1);
  const result = new Uint8ClampedArray(lines * size * 3);
  for (let place = 0; place < size; place++) {
    const centre = start + (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), length);
    const weights = findWeights(first, last, centre, support);
    for (let line = 0; line < lines; line++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (BITS - 1);
        let at = (line * length + first) * channels + channel;
        for (let index = 0; index < weights.length; index++, at += channels) sum += pixels[at] * weights[index];
        result[(line * size + place) * 3 + channel] = sum >> BITS;
      }
    }
  }
  return result;
}

function findWeights(first, last, centre, support) {
  const weights = Array.from({ length: last - first }, (_, index) =>
    Math.max(0, 1 - Math.abs((index + first - centre + 0.5) * (1 / support))),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => Math.trunc(0.5 + (weight / total) * 2 ** BITS));
}

/** Return the RGB of pixels with rows and columns exchanged. */
function exchange(pixels, rows, columns, channels = 3) {
  const result = new Uint8ClampedArray(rows * columns * 3);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [from, to] = [(row * columns + column) * channels, (column * rows + row) * 3];
      for (let channel = 0; channel < 3; channel++) result[to + channel] = pixels[from + channel];
    }
  }
  return result;
}

/** Return the part of a picture that the input shows, in its pixels: left, top, right, bottom. */
export function findFrame(width, height, model) {
  const [rows, columns] = model.image_size;
  const fit = model.reading.fit;
  if (fit === "squash") return [0, 0, width, height];
  const scale = (fit === "crop" ? Math.max : Math.min)(columns / width, rows / height);
  const [left, top] = [(width - columns / scale) / 2, (height - rows / scale) / 2];
  return [left, top, left + columns / scale, top + rows / scale];
}

/** Return, along one axis, the part of the picture that is shown, and the pixels of the input that show it. */
function findPart(start, stop, edge, size) {
  const scale = size / (stop - start);
  const first = Math.max(0, Math.ceil(-start * scale - 1e-6));
  const last = Math.min(size, Math.floor((edge - start) * scale + 1e-6));
  if (last <= first) {
    // Thinner than a pixel of the input.
    const place = Math.min(Math.max(0, Math.floor((edge / 2 - start) * scale)), size - 1);
    return { start: Math.max(0, start), stop: Math.min(edge, stop), first: place, last: place + 1 };
  }
  const begin = Math.max(0, start + first / scale);
  return { start: begin, stop: Math.min(edge, start + last / scale), first, last };
}

/** Return a box in pixels of the upright picture, clipped to it: left, top, right, bottom. */
export function placeBox(fractions, width, height, model) {
  const [left, top, right, bottom] = findFrame(width, height, model);
  const [x0, y0, x1, y1] = fractions;
  const clip = (value, limit) => Math.min(Math.max(value, 0), limit);
  return [
    clip(left + x0 * (right - left), width),
    clip(top + y0 * (bottom - top), height),
    clip(left + x1 * (right - left), width),
    clip(top + y1 * (bottom - top), height),
  ];
}

/** Return what a browser knows of a picture that can be metadata, as texts. */
export function describeImage(file, width, height) {
  return {
    "image-width": `${width}`,
    "image-height": `${height}`,
    "image-aspect": (width / height).toFixed(4),
    "image-shape": `${width}x${height}`,
    "image-bytes": `${file.size}`,
    "image-format": (file.type ?? "").replace("image/", "").toUpperCase(),
  };
}

/** Return the model's second input, a Float32Array, from an object with a text for each column. */
export function readMetadata(texts, model) {
  const { columns, missing, same_words: sameWords } = model.metadata;
  const encoded = columns.flatMap((column) => {
    if (!(column.name in texts)) throw new Error(`the model needs ${column.name}`);
    const text = texts[column.name];
    const isMissing = missing.includes(text.trim().toLowerCase());
    const encode = column.kind === "number" ? encodeNumber : encodeCategory;
    return encode(text, column, isMissing, sameWords);
  });
  return Float32Array.from(encoded);
}

function encodeNumber(text, column, isMissing, sameWords) {
  let value = NaN;
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?$/.test(text.trim())) value = Number(text);
  else if (!isMissing) value = column.words[fold(text, sameWords)] ?? NaN;
  if (Number.isNaN(value) || Math.abs(value) >= column.largest || column.no_data.includes(value)) return [0, 1];
  return [Math.min(Math.max((value - column.mean) / column.scale, -column.clip), column.clip), 0];
}

function encodeCategory(text, column, isMissing, sameWords) {
  const encoded = new Array(column.width).fill(0);
  const folded = fold(text, sameWords);
  const place = Object.hasOwn(column.places, folded) ? column.places[folded] : column.unknown;
  encoded[isMissing ? column.missing_place : place] = 1;
  return encoded;
}

/** Return the normal form of a category: case, spaces and zeros at the end of decimals do not count. */
function fold(text, sameWords) {
  let folded = text.trim().replace(/\s+/gu, " ").normalize("NFKC").toLowerCase();
  folded = folded.replaceAll("ß", "ss").replaceAll("ς", "σ");
  if (/^[+-]?(0|[1-9][0-9]{0,14})\.[0-9]*$/.test(folded)) folded = folded.replace(/\.?0*$/, "");
  return Object.hasOwn(sameWords, folded) ? sameWords[folded] : folded;
}

/** Return what the outputs for one picture mean; `outputs` has an array of numbers for each name. */
export function describeAnswer(outputs, width, height, model) {
  const answer = {};
  const names = model.class_names;
  if (outputs.probabilities) {
    const probabilities = Array.from(outputs.probabilities);
    answer.probabilities = probabilities;
    if (model.task === "multilabel") {
      answer.labels = names.filter((_, index) => probabilities[index] >= model.thresholds[index]);
    } else {
      answer.probability = Math.max(...probabilities);
      answer.class = names[probabilities.indexOf(answer.probability)];
    }
  }
  if (outputs.value) answer.value = outputs.value[0];
  if (outputs.box) answer.box = placeBox(outputs.box, width, height, model);
  if (outputs.scores) answer.objects = listObjects(outputs, width, height, model);
  if (outputs.cells) {
    const { places } = model.mask;
    const frame = findFrame(width, height, model);
    answer.areas = measureAreas(drawMask(outputs.cells, frame, [width, height], places, places, model), model);
  }
  if (outputs.distance) {
    answer.distance = outputs.distance[0];
    answer.isUnknown = answer.distance > model.unknown_above;
  }
  return answer;
}

/** Return the objects whose score reaches the threshold of their class, the best first, each with its box in pixels. */
function listObjects(outputs, width, height, model) {
  const limits = model.thresholds.length ? model.thresholds : model.class_names.map(() => 0);
  return findObjects(outputs.boxes, outputs.scores, model)
    .map(([left, top, right, bottom, score, label]) => {
      const box = placeBox([left, top, right, bottom], width, height, model);
      return { class: model.class_names[label], score, box, label };
    })
    .filter(({ box, score, label }) => box[2] > box[0] && box[3] > box[1] && score >= Math.fround(limits[label]))
    .map(({ label, ...found }) => found);
}
