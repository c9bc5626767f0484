// Tables on a telephone: a row becomes a card, so that nothing scrolls sideways. In a table whose heads name what is asked for
// first (data-glance) the rest of a card is behind a button. Without scripts a table scrolls in its box.
"use strict";
const cards = (() => {
  const narrow = matchMedia("(max-width: 40rem)");
  const tables = new Map();
  const dressed = new WeakSet();

  // A table that is not laid out as one is none to a screen reader, unless its roles say so.
  function opened(table) {
    const heads = [...table.tHead.rows[0].cells];
    const made = {
      labels: heads.map((head) => head.textContent.trim()),
      glances: heads.map((head) => head.hasAttribute("data-glance")),
      folds: heads.some((head) => head.hasAttribute("data-glance")),
    };
    table.role = "table";
    for (const part of [table.tHead, table.tBodies[0]]) part.role = "rowgroup";
    table.tHead.rows[0].role = "row";
    for (const head of heads) head.role = "columnheader";
    table.classList.add("cards");
    tables.set(table, made);
    return made;
  }

  function rest(row) {
    const name = row.querySelector("th bdi").textContent;
    const cell = row.insertCell();
    const button = document.createElement("button");
    const say = (open) => {
      row.classList.toggle("open", open);
      button.ariaExpanded = String(open);
      button.textContent = open ? "less" : "more";
      button.ariaLabel = `${button.textContent}: numbers of ${name}`;
    };
    button.type = "button";
    button.addEventListener("click", () => say(!row.classList.contains("open")));
    say(false);
    cell.className = "rest";
    cell.role = "cell";
    cell.append(button);
  }

  // What a row needs to be a card; done when it is first shown, since a table may have a thousand.
  function dress(row) {
    if (!narrow.matches || dressed.has(row)) return;
    const table = row.closest("table");
    const { labels, glances, folds } = tables.get(table) ?? opened(table);
    dressed.add(row);
    row.role = "row";
    [...row.cells].forEach((cell, i) => {
      cell.role = cell.localName === "th" ? "rowheader" : "cell";
      cell.dataset.label = labels[i];
      cell.classList.toggle("glance", glances[i]);
    });
    if (folds) rest(row);
  }

  function stack() {
    for (const table of document.querySelectorAll("table.stack")) [...table.tBodies[0].rows].forEach(dress);
  }
  narrow.addEventListener("change", stack);
  stack();
  return { narrow, dress };
})();
