// Charts, sorting and filtering of report.html. What it works on is embedded in the page as JSON and tables.
"use strict";

const embedded = (id) => JSON.parse(document.getElementById(id).textContent);
const data = embedded("charts");
const ROOT = document.documentElement;
const SHAPES = { ours: "diamond", papers: "circle", general: "rect", peers: "triangle" };

/** Make an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const format = (number, digits = 0) => number.toLocaleString("en", { maximumFractionDigits: digits });

/** Three digits, as many as a person reads. */
const short = (number) => number.toLocaleString("en", { maximumSignificantDigits: 3 });

// ---- Tables ----

/** What a cell is sorted by: a number where it is one, and nothing where it is empty. */
function sortKey(cell) {
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  const text = cell.textContent.trim();
  return text === "–" ? null : text.toLowerCase();
}

/** Sort by a column; what is empty stays last whichever way. */
function sortBy(table, header, descending) {
  const column = header.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function makeSortable(table) {
  for (const header of table.tHead.rows[0].cells) {
    const button = make("button", { type: "button" }, ...header.childNodes);
    // Numbers are first sorted from the largest, except bits and bytes: fewer are better.
    const fewerFirst = header.cellIndex === 0 || /call/.test(button.textContent) || table.closest(".heat") || /^(bits|bytes|B\/sample|further|exact|.*peak|.* ms$)/.test(button.textContent);
    button.addEventListener("click", () => {
      const sorted = header.getAttribute("aria-sort");
      sortBy(table, header, sorted ? sorted === "ascending" : !fewerFirst);
    });
    header.replaceChildren(button);
  }
}

/** Show the rows that hold every word, and none of those with a minus before. */
function filterRows(rows, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = `${row.cells[0].textContent} ${data.kinds[row.dataset.kind]}`.toLowerCase();
    const fits = words.every((word) => (word.length > 1 && word[0] === "-" ? !text.includes(word.slice(1)) : text.includes(word)));
    row.hidden = !fits;
    shown += fits;
  }
  return shown;
}

function makeFilter(listing) {
  const rows = [...listing.querySelectorAll("tbody tr")];
  const count = make("span", { className: "note", ariaLive: "polite" });
  const input = make("input", { type: "search", placeholder: "Filter: zstd, -level, general …", ariaLabel: "Filter by name or kind" });
  const apply = () => {
    const shown = filterRows(rows, input.value);
    count.textContent = shown < rows.length ? `${shown} of ${rows.length}` : `${rows.length}`;
  };
  input.addEventListener("input", apply);
  apply();
  listing.prepend(make("div", { className: "controls" }, input, count));
}

for (const listing of document.querySelectorAll(".listing")) {
  makeSortable(listing.querySelector("table"));
  makeFilter(listing);
}

// ---- Charts ----

const probe = make("span", { hidden: true });
document.body.append(probe);

/** A colour of the style sheet as it is now, in the light or in the dark. */
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const charts = [];

/** Show a chart that is drawn anew when room or colours change. */
function show(id, draw) {
  const element = document.getElementById(id);
  if (!element) return () => {};
  const instance = echarts.init(element, null, { renderer: "svg" });
  const redraw = () => {
    const height = draw.height?.();
    if (height) element.style.height = `${height}px`;
    instance.resize();
    instance.setOption({ ...common(), ...draw(element.clientWidth) }, true);
  };
  charts.push(redraw);
  redraw();
  return redraw;
}

function common() {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("text") },
    grid: { left: 8, right: 24, top: 16, bottom: 8, outerBoundsMode: "same" },
    tooltip: {
      trigger: "item",
      confine: true,
      className: "tip",
      backgroundColor: colour("surface"),
      borderColor: colour("line"),
      textStyle: { color: colour("text"), fontSize: 13 },
    },
  };
}

function axis(name, { axisLabel, ...more }) {
  return {
    name,
    nameLocation: "middle",
    nameTextStyle: { color: colour("muted"), fontSize: 13 },
    axisLabel: { color: colour("muted"), fontSize: 12, hideOverlap: true, ...axisLabel },
    axisLine: { lineStyle: { color: colour("line") } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: colour("line"), opacity: 0.6 } },
    ...more,
  };
}

/** A logarithmic axis tight around its numbers, with ticks at 1, 2 and 5 of each decade, more or fewer as there is room. */
function logAxis(name, numbers, more = {}) {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const margin = Math.max(1.05, (most / least) ** 0.1);
  const [low, high] = [least / margin, most * margin];
  const steps = high / low > 300 ? [1] : high / low > 8 ? [1, 2, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const ticks = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    for (const step of steps) {
      const tick = step * 10 ** decade;
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return axis(name, {
    type: "log",
    min: low,
    max: high,
    ...more,
    axisLabel: { customValues: ticks, formatter: (value) => format(value, 6) },
    splitLine: { show: false },
  });
}

const against = (ratio) => (ratio < 1 ? `${short(1 / ratio)}x larger than` : `${short(ratio)}x smaller than`);

/** The tooltip of a codec: its name and its figures, as elements, so that no name is read as markup. */
function tip(point) {
  const speed = (verb) => {
    if (!point[verb]) return [];
    const interval = point[`${verb}_ci`];
    return [make("div", {}, `${verb} ${format(point[verb])} MB/s${interval ? ` (${interval.map((end) => format(end)).join(" to ")})` : ""}`)];
  };
  const item = point.subject === "dataset" ? "sample" : point.subject.replace(/s$/, "");
  return make(
    "div",
    { className: "tip" },
    make("b", {}, point.name),
    make("div", {}, `${against(point.ratio)} raw; ${short(point.bits)} bits a ${item}`),
    ...(point.subject === "dataset" ? [make("div", {}, `${against(point.against_ndjson)} NDJSON`)] : []),
    ...speed("encode"),
    ...speed("decode"),
    make("small", {}, `${data.kinds[point.kind]}${point.lossy ? "; loses bits" : ""}`),
  );
}

const subjects = Object.keys(data.subjects).filter((subject) => data.points.some((point) => point.subject === subject && point.decode));
const choice = { subject: subjects.includes("values") ? "values" : subjects[0], verb: "decode" };
const VERBS = { decode: "Decoding", encode: "Encoding", decode_bulk: "Decoding, without calls", encode_bulk: "Encoding, without calls" };

/** The stairs below which all else lies: from each point down to the next faster one's ratio. */
function stairs(points, left, bottom) {
  const edge = points.filter(isEdge).sort((a, b) => a[choice.verb] - b[choice.verb]);
  if (!edge.length) return [];
  const corners = [[left, edge[0].ratio]];
  edge.forEach((point, i) => corners.push([point[choice.verb], point.ratio], [point[choice.verb], edge[i + 1]?.ratio ?? bottom]));
  return corners;
}

function drawFrontier(width) {
  const points = data.points.filter((point) => point.subject === choice.subject && point[choice.verb]);
  const memcpy = data.memcpy[choice.subject];
  const narrow = width < 560;
  const x = logAxis(`${VERBS[choice.verb].toLowerCase()}, MB/s of raw bytes`, [...points.map((point) => point[choice.verb]), ...(memcpy ? [memcpy] : [])]);
  const y = logAxis(narrow ? "ratio" : "ratio to raw bytes", points.map((point) => point.ratio));
  const kinds = Object.entries(data.kinds).filter(([kind]) => points.some((point) => point.kind === kind));
  const series = kinds.map(([kind, title]) => ({
    type: "scatter",
    name: title,
    symbol: SHAPES[kind],
    color: colour(kind),
    z: 3,
    data: points.filter((point) => point.kind === kind).map(dot),
    emphasis: { scale: 1.6 },
  }));
  // Of the same names as the points, so that the legend hides both, and silent, so that no name stands before a point.
  const names = kinds.map(([kind, title]) => ({
    type: "scatter",
    name: title,
    silent: true,
    symbolSize: 13,
    z: 4,
    itemStyle: { color: "transparent" },
    data: points.filter((point) => point.kind === kind && (isEdge(point) || (point.landmark && !narrow))).map((point) => nameTag(point, x, narrow)),
    labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
  }));
  const line = {
    type: "line",
    name: "frontier",
    data: stairs(points, x.min, y.min),
    symbol: "none",
    silent: true,
    color: colour("accent"),
    lineStyle: { width: 2, opacity: 0.75 },
    markLine: memcpy && {
      silent: true,
      symbol: "none",
      data: [{ xAxis: memcpy }],
      label: { formatter: "memcpy", position: "end", color: colour("muted") },
      lineStyle: { type: [3, 4], width: 1.5, color: colour("muted") },
    },
  };
  return {
    grid: { left: 8, right: 16, top: narrow ? 124 : 48, bottom: 8, outerBoundsMode: "same" },
    legend: {
      top: 0,
      left: 0,
      itemWidth: 14,
      itemHeight: 12,
      itemGap: 14,
      textStyle: { color: colour("text"), fontSize: 13 },
      inactiveColor: colour("line"),
      data: [...series.map((one) => one.name), { name: line.name, icon: "path://M0,5H20V7H0Z" }],
    },
    tooltip: { ...common().tooltip, formatter: ({ data: shown }) => neighbours(shown.point, points).map(tip) },
    xAxis: { ...x, nameGap: 30 },
    yAxis: { ...y, nameGap: 38 },
    series: [...series, ...names, line],
  };
}

/** A point and those that it covers, or is covered by; what the legend hides is not among them. */
function neighbours(point, points) {
  const chart = echarts.getInstanceByDom(document.getElementById("frontier"));
  const hidden = chart.getOption().legend[0].selected;
  const place = (one) => chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [one[choice.verb], one.ratio]);
  const [x, y] = place(point);
  const near = points.filter((one) => {
    const [otherX, otherY] = place(one);
    return one.name !== point.name && hidden[data.kinds[one.kind]] !== false && Math.hypot(x - otherX, y - otherY) < 8;
  });
  return [point, ...near];
}

const isEdge = (point) => point.frontier.includes(choice.verb);

/** A codec's point, larger on the frontier, hollow where it loses bits. */
function dot(point) {
  return {
    point,
    value: [point[choice.verb], point.ratio],
    symbolSize: isEdge(point) ? 13 : 10,
    itemStyle: point.lossy
      ? { color: "transparent", borderColor: colour(point.kind), borderWidth: 2 }
      : { opacity: isEdge(point) ? 1 : 0.75, borderColor: colour("surface"), borderWidth: 1 },
  };
}

/** The name above a point; near an edge it leans inwards. */
function nameTag(point, x, narrow) {
  const across = Math.log(point[choice.verb] / x.min) / Math.log(x.max / x.min);
  return {
    value: [point[choice.verb], point.ratio],
    label: {
      show: true,
      formatter: point.name,
      position: "top",
      align: across > 0.7 ? "right" : across < 0.2 ? "left" : "center",
      color: colour("text"),
      fontSize: narrow ? 11 : 12,
      fontWeight: isEdge(point) ? "bold" : "normal",
      textBorderColor: colour("surface"),
      textBorderWidth: 3,
    },
  };
}

const rungs = data.points.filter((point) => point.subject === "dataset").sort((a, b) => a.lossy - b.lossy || a.against_ndjson - b.against_ndjson);

function drawLadder(width) {
  const narrow = width < 560;
  const most = Math.max(...rungs.filter((point) => !point.lossy).map((point) => point.against_ndjson), 1);
  return {
    grid: { left: 8, right: 72, top: 8, bottom: 8, outerBoundsMode: "same" },
    tooltip: { ...common().tooltip, formatter: ({ data: shown }) => tip(shown.point) },
    // What loses bits may be any number of times smaller: its bar is cut, its number is not.
    xAxis: axis("times smaller than NDJSON", { type: "value", nameGap: 28, splitNumber: narrow ? 3 : 6 }),
    yAxis: axis("", {
      type: "category",
      inverse: true,
      data: rungs.map((point) => point.name),
      axisLabel: { color: colour("text"), width: narrow ? 125 : 260, lineHeight: 12, overflow: "breakAll", interval: 0, hideOverlap: false },
      splitLine: { show: false },
    }),
    series: [
      {
        type: "bar",
        barCategoryGap: "25%",
        data: rungs.map((point) => ({
          point,
          value: Math.min(point.against_ndjson, most),
          itemStyle: point.lossy
            ? { color: "transparent", borderColor: colour(point.kind), borderWidth: 2, borderType: "dashed" }
            : { color: colour(point.kind) },
          label: { show: true, position: "right", color: colour("text"), formatter: `${short(point.against_ndjson)}x` },
        })),
      },
    ],
  };
}
drawLadder.height = () => 80 + 30 * rungs.length;

function drawDeltas(width) {
  const { reach, shares } = data.deltas;
  const used = Math.max(3, ...shares.map((share, i) => (share ? Math.abs(i - reach) : 0)));
  const shown = shares.map((share, i) => [i - reach, share]).slice(reach - used, reach + used + 1);
  const least = Math.min(...shown.filter(([, share]) => share).map(([, share]) => share));
  const floor = 10 ** Math.floor(Math.log10(least) - 0.01);
  const name = (delta) => (Math.abs(delta) === reach ? `${delta} and beyond` : `${delta}`);
  return {
    grid: { left: 8, right: 8, top: 24, bottom: 8, outerBoundsMode: "same" },
    tooltip: { ...common().tooltip, formatter: ({ dataIndex }) => `${name(shown[dataIndex][0])} s: ${short(shown[dataIndex][1])} %` },
    xAxis: axis("delta of delta, seconds", { type: "category", data: shown.map(([delta]) => delta), nameGap: 28 }),
    yAxis: axis("share, %", { type: "log", min: floor, max: 100, startValue: floor, nameGap: 48, axisLabel: { formatter: (value) => format(value, 6) } }),
    series: [
      {
        type: "bar",
        data: shown.map(([delta, share]) => ({ value: share || null, itemStyle: { color: colour(delta ? "ours" : "papers") } })),
        label: { show: used <= (width < 560 ? 3 : 8), position: "top", color: colour("text"), formatter: ({ value }) => (value ? short(value) : "") },
      },
    ],
  };
}

/** Bytes a sample of databases, in parts; what is longer than raw samples is cut, its number is not. */
function drawEngines(width) {
  const narrow = width < 560;
  const { engines } = data;
  const longest = Math.min(20, Math.max(...engines.map((engine) => engine.bytes)));
  const used = data.parts.filter((part) => engines.some((engine) => engine.parts[part]));
  const before = (engine, part) => data.parts.slice(0, data.parts.indexOf(part)).reduce((sum, one) => sum + engine.parts[one], 0);
  const room = (engine, part) => Math.max(0, Math.min(engine.parts[part], longest - before(engine, part)));
  const tell = (engine) =>
    make(
      "div",
      { className: "tip" },
      make("b", {}, engine.name),
      make("div", {}, `${short(engine.bytes)} bytes a sample${engine.further === null ? "" : `, ${short(engine.further)} each further one`}`),
      ...used.filter((part) => engine.parts[part]).map((part) => make("div", {}, `${part} ${short(engine.parts[part])}`)),
      ...(engine.exact ? [] : [make("small", {}, "loses bits")]),
    );
  return {
    grid: { left: 8, right: 72, top: 36, bottom: 8, outerBoundsMode: "same" },
    legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 12, textStyle: { color: colour("text"), fontSize: 13 }, inactiveColor: colour("line") },
    tooltip: { ...common().tooltip, formatter: ({ dataIndex }) => tell(engines[dataIndex]) },
    xAxis: axis("bytes a sample; uncompressed 16", { type: "value", nameGap: 28, splitNumber: narrow ? 3 : 6 }),
    yAxis: axis("", {
      type: "category",
      inverse: true,
      data: engines.map((engine) => engine.name),
      axisLabel: { color: colour("text"), width: narrow ? 125 : 260, lineHeight: 12, overflow: "breakAll", interval: 0, hideOverlap: false },
      splitLine: { show: false },
    }),
    series: used.map((part, i) => ({
      type: "bar",
      name: part,
      stack: "bytes",
      color: colour(`part-${part}`),
      barCategoryGap: "25%",
      data: engines.map((engine) => room(engine, part)),
      label: { show: i === used.length - 1, position: "right", color: colour("text"), formatter: ({ dataIndex }) => short(engines[dataIndex].bytes) },
    })),
  };
}
drawEngines.height = () => 110 + 30 * data.engines.length;

/** Buttons of which one is pressed. */
function buttons(title, names, key, redraw) {
  const group = make("div", { role: "group", ariaLabel: title });
  for (const [value, text] of Object.entries(names)) {
    const button = make("button", { type: "button", ariaPressed: choice[key] === value }, text);
    button.addEventListener("click", () => {
      choice[key] = value;
      for (const other of group.children) other.ariaPressed = other === button;
      redraw();
    });
    group.append(button);
  }
  return group;
}

const redrawFrontier = show("frontier", drawFrontier);
const controls = document.querySelector("[data-for=frontier]");
if (controls) {
  const titles = Object.fromEntries(subjects.map((subject) => [subject, data.subjects[subject]]));
  controls.append(
    buttons("What is encoded", titles, "subject", redrawFrontier),
    buttons("Which speed", Object.fromEntries(Object.entries(VERBS).filter(([verb]) => data.points.some((point) => point[verb]))), "verb", redrawFrontier),
  );
}
show("ladder", drawLadder);
show("deltas", drawDeltas);
show("engines-chart", drawEngines);

// ---- The page ----

const redrawAll = () => charts.forEach((redraw) => redraw());
let resized = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(redrawAll);
});

// What is printed is black on white, whatever the screen has.
let theme;
addEventListener("beforeprint", () => {
  theme = ROOT.dataset.theme;
  ROOT.dataset.theme = "light";
  redrawAll();
});
addEventListener("afterprint", () => {
  if (theme) ROOT.dataset.theme = theme;
  else delete ROOT.dataset.theme;
  redrawAll();
});

const darkness = matchMedia("(prefers-color-scheme: dark)");
darkness.addEventListener("change", redrawAll);
const toggle = make("button", { type: "button" });
const isDark = () => (ROOT.dataset.theme ?? (darkness.matches ? "dark" : "light")) === "dark";
const nameToggle = () => (toggle.textContent = isDark() ? "Light" : "Dark");
toggle.addEventListener("click", () => {
  ROOT.dataset.theme = isDark() ? "light" : "dark";
  nameToggle();
  redrawAll();
});
darkness.addEventListener("change", nameToggle);
nameToggle();
document.querySelector("nav").append(toggle);

const save = make("button", { type: "button" }, "Save all figures as JSON");
save.addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([document.getElementById("results").textContent], { type: "application/json" }));
  make("a", { href: url, download: "squeezelab.json" }).click();
  URL.revokeObjectURL(url);
});
document.getElementById("save").append(save);
