// Small parts of the status tab: how numbers read, rows that stay where they are while their values change, lines of the last minute.

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Puts a text there, and does nothing where it is there already: what is selected or read aloud stays. */
export function fill(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Rows by key: a row that stays is the same element, so that the focus stays too. */
export function keyedRows(body, items, keyOf, make, update) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    const row = known.get(key) ?? make(item);
    known.delete(key);
    row.dataset.key = key;
    update(row, item);
    const place = before === null ? body.firstElementChild : before.nextElementSibling;
    if (row !== place) body.insertBefore(row, place);
    before = row;
  }
  for (const row of known.values()) row.remove();
}

export function number(value) {
  return Number(value).toLocaleString('en');
}

export function rate(perSecond) {
  return `${perSecond < 10 ? Math.round(perSecond * 10) / 10 : number(Math.round(perSecond))}/s`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value) {
  let at = 0;
  let left = value;
  while (left >= 1024 && at < UNITS.length - 1) {
    left /= 1024;
    at++;
  }
  return `${at === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[at]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString('en-GB');
}

const [WIDTH, HEIGHT, MOST] = [120, 32, 60];

/** The points as a line in an SVG, the newest at its right end. */
export function sparkline(svg, points) {
  const top = Math.max(...points, 1);
  const step = WIDTH / (MOST - 1);
  const from = WIDTH - (points.length - 1) * step;
  const line = points.map(
    (value, i) => `${(from + i * step).toFixed(1)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`,
  );
  svg.firstElementChild.setAttribute('points', line.join(' '));
}
