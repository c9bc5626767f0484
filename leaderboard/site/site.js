// Sorting and filtering of a board's tables. Without it they are plain tables in the order of their ranks.
// What is shown is kept in the address (#sort=gain&dir=desc&filter=gan&ranked=1&films=0), so that a link shows the same.
// Of a long table the first rows are shown until all are asked for (&all=1): a browser lays out what is shown alone.
"use strict";
(() => {
  const tables = [...document.querySelectorAll("table.sortable")];
  if (!tables.length) return;
  const filter = document.getElementById("filter");
  const ranked = document.getElementById("ranked");
  const films = document.getElementById("films");  // the columns of the films' own numbers: hidden first on small screens
  const small = matchMedia("(max-width: 40rem)").matches;
  const count = document.getElementById("count");
  const rows = tables.flatMap((table) =>
    [...table.tBodies[0].rows].map((row, order) => ({
      table, row, order, ranked: row.hasAttribute("data-ranked"), text: row.textContent.toLowerCase(),
    })));
  const ordered = new Map(tables.map((table) => [table, rows.filter((one) => one.table === table)]));
  const FIRST = 60, MANY = 80, SCREEN = 12;
  let sort = "", direction = "asc", all = false, later = 0;

  const more = document.createElement("button");
  more.type = "button";
  more.id = "more";
  more.textContent = "show all";
  count.after(more);

  const value = (cell) => {
    const raw = cell.dataset.v ?? cell.textContent.trim();
    if (raw === "" || raw === "–") return null;
    const number = Number(raw);
    return Number.isNaN(number) ? raw.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
    return typeof a === "number" ? -1 : 1;
  };

  function order() {
    for (const table of tables) {
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((head) => head.dataset.key === sort);
      heads.forEach((head, i) => {
        if (i === column) head.setAttribute("aria-sort", direction === "asc" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      const sign = direction === "asc" ? 1 : -1;
      const mine = ordered.get(table)
        .map((one) => ({ one, key: column < 0 ? one.order : value(one.row.cells[column]) }));
      mine.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.one.order - b.one.order;
        return (column < 0 ? 1 : sign) * compare(a.key, b.key) || a.one.order - b.one.order;
      });
      const sorted = mine.map(({ one }) => one);
      if (sorted.some((one, place) => one !== ordered.get(table)[place])) {
        table.tBodies[0].append(...sorted.map((one) => one.row));
        ordered.set(table, sorted);
      }
    }
  }

  function narrow() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const waiting = [];
    let found = 0, left = 0;
    for (const [, mine] of ordered) {
      const fitting = mine.filter((one) =>
        (one.ranked || !ranked.checked) && words.every((word) => one.text.includes(word)));
      const shown = new Set(all || fitting.length <= MANY ? fitting : fitting.slice(0, FIRST));
      for (const one of mine) {
        if (one.row.hidden !== shown.has(one)) continue;
        if (one.row.hidden) waiting.push(one.row);
        else one.row.hidden = true;
      }
      found += fitting.length;
      left += fitting.length - shown.size;
    }
    count.textContent = `${found} of ${rows.length} ${count.dataset.what ?? "entries"}`
      + (left ? `, ${found - left} shown` : "");
    more.hidden = !left;
    clearTimeout(later);
    reveal(waiting, SCREEN);
  }

  // A screen of rows at once, the rest by and by: what was typed is answered before all of it is laid out.
  function reveal(waiting, next) {
    for (const row of waiting.splice(0, next)) row.hidden = false;
    for (const table of tables) table.ariaBusy = waiting.length ? "true" : null;
    if (waiting.length) later = setTimeout(reveal, 0, waiting, waiting.length > MANY ? 2 * next : SCREEN);
  }

  function fold() {
    for (const table of tables) table.classList.toggle("folded", films !== null && !films.checked);
  }

  function keep() {
    const kept = new URLSearchParams();
    if (sort) { kept.set("sort", sort); kept.set("dir", direction); }
    if (filter.value) kept.set("filter", filter.value);
    if (ranked.checked) kept.set("ranked", "1");
    if (all) kept.set("all", "1");
    if (films && films.checked === small) kept.set("films", films.checked ? "1" : "0");
    const text = kept.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const known = [...tables[0].tHead.rows[0].cells].some((head) => head.dataset.key === given.get("sort"));
    sort = known ? given.get("sort") : "";
    direction = given.get("dir") === "desc" ? "desc" : "asc";
    filter.value = given.get("filter") ?? "";
    ranked.checked = given.get("ranked") === "1";
    all = given.get("all") === "1";
    if (films) films.checked = given.has("films") ? given.get("films") === "1" : !small;
    fold();
    order();
    narrow();
  }

  for (const table of tables) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const number = !head.classList.contains("text") && head.dataset.key !== "rank";
        const first = number ? "desc" : "asc";
        const other = first === "asc" ? "desc" : "asc";
        if (sort !== head.dataset.key) { sort = head.dataset.key; direction = first; }
        else if (direction === first) direction = other;
        else sort = "";
        order();
        narrow();
        keep();
      });
    }
  }
  filter.addEventListener("input", () => { narrow(); keep(); });
  ranked.addEventListener("change", () => { narrow(); keep(); });
  films?.addEventListener("change", () => { fold(); keep(); });
  more.addEventListener("click", () => { all = true; narrow(); keep(); });
  addEventListener("hashchange", read);
  document.querySelector(".tools").hidden = false;
  read();
})();
