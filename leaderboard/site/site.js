// Sorting and filtering of a board's tables. Without it they are plain tables in the order of their ranks.
// What is shown is kept in the address (#sort=gain&dir=desc&filter=gan&ranked=1), so that a link shows the same.
"use strict";
(() => {
  const tables = [...document.querySelectorAll("table.sortable")];
  if (!tables.length) return;
  const filter = document.getElementById("filter");
  const ranked = document.getElementById("ranked");
  const count = document.getElementById("count");
  const rows = tables.flatMap((table) =>
    [...table.tBodies[0].rows].map((row, order) => ({
      table, row, order, ranked: row.hasAttribute("data-ranked"), text: row.textContent.toLowerCase(),
    })));
  let sort = "", direction = "asc";

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
      const mine = rows.filter((one) => one.table === table)
        .map((one) => ({ one, key: column < 0 ? one.order : value(one.row.cells[column]) }));
      mine.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.one.order - b.one.order;
        return (column < 0 ? 1 : sign) * compare(a.key, b.key) || a.one.order - b.one.order;
      });
      table.tBodies[0].append(...mine.map(({ one }) => one.row));
    }
  }

  function narrow() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of rows) {
      const keep = (one.ranked || !ranked.checked) && words.every((word) => one.text.includes(word));
      one.row.hidden = !keep;
      shown += keep;
    }
    count.textContent = `${shown} of ${rows.length} ${count.dataset.what ?? "entries"}`;
  }

  function keep() {
    const kept = new URLSearchParams();
    if (sort) { kept.set("sort", sort); kept.set("dir", direction); }
    if (filter.value) kept.set("filter", filter.value);
    if (ranked.checked) kept.set("ranked", "1");
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
        keep();
      });
    }
  }
  filter.addEventListener("input", () => { narrow(); keep(); });
  ranked.addEventListener("change", () => { narrow(); keep(); });
  addEventListener("hashchange", read);
  document.querySelector(".tools").hidden = false;
  read();
})();
