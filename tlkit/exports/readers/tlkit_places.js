/**
 * Make objects or a mask of what a model says at its places, as `tlkit_objects.py` and `tlkit_masks.py` do in Python.
 *
 * Needs nothing. `model` is always the content of model.json, `frame` the part of the picture that the input shows, in pixels
 * of the picture: left, top, right, bottom.
 */

/**
 * Return a row for each object, the best first: left, top, right, bottom in fractions of the input, score and class index.
 *
 * `boxes` has four numbers for each place, `scores` one for each class at each place.
 */
export function findObjects(boxes, scores, model) {
  const rule = model.objects;
  const numClasses = model.class_names.length;
  const least = Math.fround(rule.min_score);
  let candidates = [];
  scores.forEach((score, index) => {
    if (score < least) return;
    const place = Math.floor(index / numClasses);
    candidates.push({ score, label: index % numClasses, box: Array.from(boxes.slice(4 * place, 4 * place + 4)) });
  });
  candidates = candidates.sort((one, other) => other.score - one.score).slice(0, rule.max_candidates);
  const rows = [];
  for (const [kept, score] of suppress(candidates, least, rule)) {
    if (rows.length === rule.max_objects) break;
    const voters = candidates.filter((each) => measureOverlap(each, kept) >= Math.fround(rule.vote_iou));
    const weight = voters.reduce((sum, each) => sum + each.score, 0);
    const box = [0, 1, 2, 3].map((edge) => voters.reduce((sum, each) => sum + each.score * each.box[edge], 0) / weight);
    rows.push([...box, score, kept.label]);
  }
  return rows;
}

/** Yield each candidate that stays, with its score, the best first. */
function* suppress(candidates, least, rule) {
  const live = candidates.map((each) => each.score);
  while (live.length) {
    const best = live.indexOf(Math.max(...live));
    if (live[best] < least) return;
    yield [candidates[best], live[best]];
    candidates.forEach((each, index) => {
      const overlap = measureOverlap(each, candidates[best]);
      if (rule.soft_sigma) live[index] *= Math.exp(-(overlap ** 2) / rule.soft_sigma);
      else if (overlap > Math.fround(rule.max_iou)) live[index] = -1;
    });
    live[best] = -1;
  }
}

/** Return the area that two boxes share as a fraction of what they cover together; 0 for other classes. */
function measureOverlap(one, other) {
  if (one.label !== other.label) return 0;
  const edge = (a, b, low) => Math.max(Math.min(a[low + 2], b[low + 2]) - Math.max(a[low], b[low]), 0);
  const shared = edge(one.box, other.box, 0) * edge(one.box, other.box, 1);
  const area = ([left, top, right, bottom]) => Math.max(right - left, 0) * Math.max(bottom - top, 0);
  return shared / Math.max(area(one.box) + area(other.box) - shared, 1e-12);
}

/**
 * Return the class at places spread evenly over an upright picture, a Uint8Array of `columns` x `rows`, rows from the top.
 *
 * It is 0 for background, 1 for the first class, or `not_seen` of `model.mask`. `cells` is the output of this name.
 */
export function drawMask(cells, frame, [width, height], columns, rows, model) {
  const [, gridRows, gridColumns, depth] = model.outputs.find((each) => each.name === "cells").shape;
  const [left, top, right, bottom] = frame;
  const across = findNeighbours(columns, width, left, right, gridColumns);
  const down = findNeighbours(rows, height, top, bottom, gridRows);
  const mask = new Uint8Array(columns * rows).fill(model.mask.not_seen);
  const line = new Float32Array(gridColumns * depth);
  for (let row = 0; row < rows; row++) {
    if (!down[row]) continue;
    const { before, after, share } = down[row];
    const [above, below] = [before * line.length, after * line.length];
    for (let at = 0; at < line.length; at++) line[at] = cells[above + at] * (1 - share) + cells[below + at] * share;
    for (let column = 0; column < columns; column++) {
      if (across[column]) mask[row * columns + column] = chooseClass(line, across[column], depth);
    }
  }
  return mask;
}

function chooseClass(line, { before, after, share }, depth) {
  let best = 0;
  let highest = -1;
  for (let index = 0; index < depth; index++) {
    const value = line[before * depth + index] * (1 - share) + line[after * depth + index] * share;
    if (value > highest) [best, highest] = [index, value];
  }
  return best;
}

/** Return, along one axis, the cells before and after each place, and how near the second is; null for what is not seen. */
function findNeighbours(count, edge, start, stop, numCells) {
  return Array.from({ length: count }, (_, index) => {
    const at = ((index + 0.5) * (edge / count) - start) / (stop - start);
    if (at < 0 || at >= 1) return null;
    const place = Math.min(Math.max(at * numCells - 0.5, 0), numCells - 1);
    const before = Math.floor(place);
    return { before, after: Math.min(before + 1, numCells - 1), share: place - before };
  });
}

/** Return the share of what the model sees that each class takes, the classes that are there alone. */
export function measureAreas(mask, model) {
  const counts = new Array(256).fill(0);
  for (const number of mask) counts[number] += 1;
  const seen = mask.length - counts[model.mask.not_seen];
  const areas = model.class_names.map((name, index) => ({ class: name, share: counts[index + 1] / Math.max(seen, 1) }));
  return areas.filter((each) => each.share);
}
