// Sorting and filtering of a board's tables. Without it they are plain tables in the order of their ranks.
// What is shown is kept in the address (#sort=gain&dir=desc&filter=gan&ranked=1&films=0), so that a link shows the same.
// Of a long table the first rows are shown until all are asked for (&all=1): a browser lays out what is shown alone.
"use strict";
(() => {
  const tables = [...document.querySelectorAll("table.sortable")];
  if (!tables.length) return;
  const filter = document.getElementById("filter");
  const ranked = document.getElementById("ranked");
  const films = document.getElementById("films");  // the columns of the films' own numbers; cards fold by themselves
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

  // Cards have no headings to press: in their place stand a list of them and a button that turns the order.
  const by = document.createElement("select");
  const turn = document.createElement("button");
  const label = document.createElement("label");
  const keys = new Map([...tables[0].tHead.rows[0].cells].map((head) => [head.dataset.key, head]));
  by.id = "by";
  by.add(new Option("as listed", ""));
  for (const [key, head] of keys) by.add(new Option(head.textContent.trim(), key));
  label.htmlFor = by.id;
  label.textContent = "Sort by";
  turn.id = "turn";
  turn.type = "button";
  for (const part of [label, by, turn]) part.classList.add("sorting");
  count.before(label, by, turn);

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
      for (const { row } of sorted) {
        row.querySelector(".by")?.classList.remove("by");
        row.cells[column]?.classList.add("by");
      }
      if (sorted.some((one, place) => one !== ordered.get(table)[place])) {
        table.tBodies[0].append(...sorted.map((one) => one.row));
        ordered.set(table, sorted);
      }
    }
    by.value = sort;
    turn.hidden = !sort;
    turn.textContent = direction === "asc" ? "lowest first" : "highest first";
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
        if (one.row.hidden !== shown.has(one)) {
          if (!one.row.hidden) cards.dress(one.row);
        } else if (one.row.hidden) waiting.push(one.row);
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
    for (const row of waiting.splice(0, next)) {
      cards.dress(row);
      row.hidden = false;
    }
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
    if (films && !films.checked) kept.set("films", "0");
    const text = kept.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    sort = keys.has(given.get("sort")) ? given.get("sort") : "";
    direction = given.get("dir") === "desc" ? "desc" : "asc";
    filter.value = given.get("filter") ?? "";
    ranked.checked = given.get("ranked") === "1";
    all = given.get("all") === "1";
    if (films) films.checked = given.get("films") !== "0";
    fold();
    order();
    narrow();
  }

  const first = (head) => head.classList.contains("text") || head.dataset.key === "rank" ? "asc" : "desc";
  const other = (way) => way === "asc" ? "desc" : "asc";

  function again() {
    order();
    narrow();
    keep();
  }

  // Buttons that cannot be seen are none to the keyboard.
  function reach() {
    for (const button of document.querySelectorAll(".sortable thead button")) {
      button.tabIndex = cards.narrow.matches ? -1 : 0;
    }
  }

  for (const table of tables) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        if (sort !== head.dataset.key) { sort = head.dataset.key; direction = first(head); }
        else if (direction === first(head)) direction = other(direction);
        else sort = "";
        again();
      });
    }
  }
  by.addEventListener("change", () => {
    sort = by.value;
    direction = sort ? first(keys.get(sort)) : "asc";
    again();
  });
  turn.addEventListener("click", () => { direction = other(direction); again(); });
  cards.narrow.addEventListener("change", () => { reach(); narrow(); });
  filter.addEventListener("input", () => { narrow(); keep(); });
  ranked.addEventListener("change", () => { narrow(); keep(); });
  films?.addEventListener("change", () => { fold(); keep(); });
  more.addEventListener("click", () => { all = true; narrow(); keep(); });
  addEventListener("hashchange", read);
  document.querySelector(".tools").hidden = false;
  reach();
  read();
})();
