"use strict";
// What both studies have in common: one film at a time; answers are kept in this browser under the study's id and leave it
// only by Export. `make(core)` gives what a study is of: empty, sound, complete, header, rows, open, film, reset, press, acts, keys.
function readerStudy(make) {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  $("data").remove();
  const { study, films } = data;
  const place = "cxrbench-reader-study:" + study;
  let state;
  let shown = performance.now();
  let sure = false;
  const core = {
    $, data, go, save, show,
    get state() { return state; },
    film: () => films[state.at],
    seconds: (before) => before.seconds ?? Math.round((performance.now() - shown) / 100) / 10,
    now: () => new Date().toISOString().slice(0, 19) + "Z",
  };
  const kind = make(core);
  const empty = () => ({ reader: "", begun: false, at: 0, answers: {}, ...kind.empty });
  const done = () => films.filter(kind.complete).length;

  // ------------------------------------------------------------------------------------------------ state

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(place));
      if (kept && typeof kept.answers === "object" && kind.sound(kept)) {
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

  function fileName() {
    return "answers-" + study + (state.reader ? "-" + state.reader : "") + ".csv";
  }

  function csv() {
    const quoted = (value) => (/[",;\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value);
    const line = (values) => values.map((value) => quoted(String(value ?? ""))).join(",") + "\r\n";
    const rows = films.flatMap((film) => kind.rows(film).map((row) => line([study, state.reader, film.item, ...row])));
    return line(["study", "reader", "item", ...kind.header]) + rows.join("");
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

  function showFilm() {
    const film = films[state.at];
    $("counter").textContent = "Film " + (state.at + 1) + " of " + films.length;
    if ($("film").dataset.item !== film.item) {
      $("film").dataset.item = film.item;
      kind.reset(film, state.at + 1);
      shown = performance.now();
    }
    kind.film(film);
    $("back").disabled = state.at === 0;
  }

  function showEnd() {
    const left = films.length - done();
    $("counter").textContent = done() + " of " + films.length + " answered";
    $("verdict").textContent = left ? "Not all films have an answer" : "All films are answered. Thank you.";
    $("left").textContent = left ? left + (left === 1 ? " film has " : " films have ") + kind.open + "." : "";
    $("missing").hidden = !left;
    $("save").classList.toggle("main", !left);
    $("file").textContent = fileName();
    sure = false;
    $("fresh").textContent = "Erase and begin as another reader";
  }

  // ------------------------------------------------------------------------------------------------ wiring

  const acts = {
    begin, fresh, export: exportAnswers, save: exportAnswers, ...kind.acts,
    back: () => go(state.at - 1), next: () => go(state.at + 1), review: () => go(films.length - 1),
    missing: () => go(films.findIndex((film) => !kind.complete(film))),
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target.closest("figure") && kind.acts.figure) kind.acts.figure();
    if (!button) return;
    if (event.detail) button.blur(); // a click leaves no focus: the next Enter or Space must not answer a film
    if (!kind.press(button.dataset)) acts[button.id]();
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
    else if (kind.keys[key]) kind.keys[key]();
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

  state = load();
  show();
}
