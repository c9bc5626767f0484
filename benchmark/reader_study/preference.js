"use strict";
// Two segmentations of a film, 1 and 2; answers are kept in this browser under the study's id and leave it only by Export.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  $("data").remove();
  const { study, films, organs } = data;
  const place = "cxrbench-reader-study:" + study;
  const CHOICES = { 1: "1", 2: "2", 0: "none" };
  const empty = () => ({ reader: "", begun: false, at: 0, answers: {} });
  let state = load();
  let shown = performance.now();
  let bare = false;
  let sure = false;

  // ------------------------------------------------------------------------------------------------ state

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(place));
      if (kept && typeof kept.answers === "object") {
        kept.at = Math.min(Math.max(0, Math.trunc(kept.at) || 0), films.length); // length: the end
        return kept;
      }
    } catch (error) {
      warn("What was kept in this browser cannot be read (" + error.name + "); beginning anew.");
    }
    return empty();
  }

  function save() {
    try {
      localStorage.setItem(place, JSON.stringify(state));
    } catch (error) {
      warn("This browser does not keep answers (" + error.name + "): export before you close the page.");
    }
  }

  function warn(text) {
    $("warning").textContent = text;
    $("warning").hidden = false;
  }

  const given = (film, organ) => (state.answers[film.item] || {})[organ] || {};
  const complete = (film) => organs.every(({ organ }) => given(film, organ).choice);
  const done = () => films.filter(complete).length;

  // ------------------------------------------------------------------------------------------------ acts

  function begin() {
    state.reader = $("reader").value.normalize("NFC").replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[^\p{L}\p{N}]+/u, "");
    state.begun = true;
    go(state.at);
  }

  function go(at) {
    state.at = Math.min(Math.max(0, at), films.length);
    save();
    show();
  }

  function keep(organ, what) {
    const film = films[state.at];
    const before = given(film, organ);
    const seconds = before.seconds ?? Math.round((performance.now() - shown) / 100) / 10;
    const now = { ...before, ...what, seconds, at: new Date().toISOString().slice(0, 19) + "Z" };
    state.answers[film.item] = { ...state.answers[film.item], [organ]: now };
    save();
  }

  function give(organ, choice) {
    keep(organ, { choice });
    show();
  }

  function next(choice) {
    const open = organs.find(({ organ }) => !given(films[state.at], organ).choice);
    if (open) give(open.organ, choice);
  }

  function zoom() {
    $("zoom").setAttribute("aria-pressed", $("plates").classList.toggle("zoomed"));
  }

  function outlines() {
    bare = !bare;
    $("bare").setAttribute("aria-pressed", bare);
    pictures();
  }

  function fileName() {
    return "answers-" + study + (state.reader ? "-" + state.reader : "") + ".csv";
  }

  function csv() {
    const quoted = (value) => (/[",;\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value);
    const line = (values) => values.map((value) => quoted(String(value ?? ""))).join(",") + "\r\n";
    const rows = films.flatMap((film) =>
      organs.filter(({ organ }) => given(film, organ).choice || given(film, organ).comment).map(({ organ }) => {
        const { choice, comment, seconds, at } = given(film, organ);
        // a spreadsheet takes a text that begins so for a formula
        const plain = (comment || "").replace(/\s+/g, " ").trim().replace(/^[=+@-]+/, "");
        return line([study, state.reader, film.item, organ, choice, plain, seconds, at]);
      }),
    );
    return line(["study", "reader", "item", "organ", "choice", "comment", "seconds", "answered_at"]) + rows.join("");
  }

  function exportAnswers() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = fileName();
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function fresh() {
    if (!sure) {
      sure = true;
      $("fresh").textContent = "Press again to erase the answers of " + (state.reader || "this reader");
      return;
    }
    state = empty();
    $("film").dataset.item = "";
    $("reader").value = "";
    go(0);
  }

  // ------------------------------------------------------------------------------------------------ views

  function show() {
    const view = !state.begun ? "start" : state.at < films.length ? "read" : "end";
    for (const name of ["start", "read", "end"]) $(name).hidden = name !== view;
    document.body.className = view;
    $("bar").max = films.length;
    $("bar").value = done();
    $("export").disabled = !Object.keys(state.answers).length;
    if (view === "start") showStart();
    if (view === "read") showFilm();
    if (view === "end") showEnd();
  }

  function showStart() {
    $("counter").textContent = "";
    document.querySelector(".total").textContent = films.length;
    $("reader").focus();
  }

  function pictures() {
    const film = films[state.at];
    for (const name of ["film", "one", "two"]) $(name).src = "data:image/png;base64," + film[bare ? "film" : name];
    $("film").alt = "Chest film " + (state.at + 1);
    $("one").alt = "Segmentation 1 of film " + (state.at + 1);
    $("two").alt = "Segmentation 2 of film " + (state.at + 1);
  }

  function showFilm() {
    const film = films[state.at];
    $("counter").textContent = "Film " + (state.at + 1) + " of " + films.length;
    if ($("film").dataset.item !== film.item) {
      $("film").dataset.item = film.item;
      bare = false;
      $("bare").setAttribute("aria-pressed", false);
      pictures();
      for (const text of document.querySelectorAll("textarea")) text.value = given(film, text.dataset.organ).comment || "";
      $("panel").scrollTop = 0;
      shown = performance.now();
    }
    for (const button of document.querySelectorAll("[data-choice]"))
      button.setAttribute("aria-pressed", button.dataset.choice === given(film, button.dataset.organ).choice);
    $("back").disabled = state.at === 0;
    $("next").classList.toggle("main", complete(film));
  }

  function showEnd() {
    const left = films.length - done();
    $("counter").textContent = done() + " of " + films.length + " answered";
    $("verdict").textContent = left ? "Not all films have an answer" : "All films are answered. Thank you.";
    $("left").textContent = left ? left + (left === 1 ? " film has" : " films have") + " open questions." : "";
    $("missing").hidden = !left;
    $("save").classList.toggle("main", !left);
    $("file").textContent = fileName();
    sure = false;
    $("fresh").textContent = "Erase and begin as another reader";
  }

  // ------------------------------------------------------------------------------------------------ wiring

  function element(name, parent, values = {}) {
    const made = Object.assign(document.createElement(name), values);
    parent.append(made);
    return made;
  }

  for (const { organ, colour } of organs) {
    const said = organ.replaceAll("_", " ");
    const field = element("fieldset", $("organs"));
    const legend = element("legend", field);
    if (colour) element("span", legend, { className: "swatch" }).style.background = colour;
    legend.append(said[0].toUpperCase() + said.slice(1));
    const row = element("div", field, { className: "three" });
    for (const [choice, words] of [["1", "1"], ["2", "2"], ["none", "No preference"]]) {
      const button = element("button", row, { type: "button", textContent: words, ariaLabel: said + ": " + words });
      button.dataset.organ = organ;
      button.dataset.choice = choice;
    }
    const text = element("textarea", field, { rows: 1, maxLength: 2000, placeholder: "Why?", ariaLabel: said + ": comment" });
    text.dataset.organ = organ;
    text.addEventListener("input", () => keep(organ, { comment: text.value }));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target.closest("figure")) zoom();
    if (!button) return;
    if (event.detail) button.blur(); // a click leaves no focus: the next Enter or Space must not answer
    if (button.dataset.choice) give(button.dataset.organ, button.dataset.choice);
    else
      ({
        begin, zoom, fresh, bare: outlines, export: exportAnswers, save: exportAnswers,
        back: () => go(state.at - 1), next: () => go(state.at + 1), review: () => go(films.length - 1),
        missing: () => go(films.findIndex((film) => !complete(film))),
      })[button.id]();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return; // a key held down is one answer
    if (event.target.tagName === "TEXTAREA") return; // a comment is being written
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!state.begun) {
      if (key === "Enter" && event.target.id === "reader") begin();
      return;
    }
    if (key === "e" && !$("export").disabled) exportAnswers();
    else if (key === "ArrowLeft" || key === "Backspace") go(state.at - 1);
    else if (state.at >= films.length) return;
    else if (key === "ArrowRight") go(state.at + 1);
    else if (key === "o") outlines();
    else if (key === "z") zoom();
    else if (CHOICES[key]) next(CHOICES[key]);
    else return;
    event.preventDefault();
  });

  window.addEventListener("storage", (event) => {
    if (event.key === place) { // the same study in another tab: its answers are these answers
      state = load();
      $("film").dataset.item = "";
      show();
    }
  });

  show();
})();
