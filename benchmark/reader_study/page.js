"use strict";
// One film at a time; answers are kept in this browser under the study's id and leave it only by Export.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  $("data").remove();
  const { study, films, findings } = data;
  const place = "cxrbench-reader-study:" + study;
  const KEYS = "123456789abcdfghjklmnopqtvwxy"; // of findings; e, i, r, s, u and z mean something else
  const ACTIONS = { r: () => give("answer", "real"), s: () => give("answer", "synthetic"), u: undo, z: zoom, i: invert };
  const empty = () => ({ reader: "", begun: false, at: 0, answers: {}, undo: [] });
  let state = load();
  let shown = performance.now();
  let sure = false;

  // ------------------------------------------------------------------------------------------------ state

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(place));
      if (kept && typeof kept.answers === "object" && Array.isArray(kept.undo)) {
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

  const given = (film) => state.answers[film.item] || {};
  const complete = (film) => Boolean(given(film).answer && (!findings.length || given(film).finding));
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

  function give(question, value) {
    const film = films[state.at];
    const before = { ...given(film) };
    const was = complete(film);
    const seconds = before.seconds ?? Math.round((performance.now() - shown) / 100) / 10;
    state.undo = [...state.undo.slice(-199), { item: film.item, before }];
    state.answers[film.item] = { ...before, [question]: value, at: new Date().toISOString().slice(0, 19) + "Z" };
    if (complete(film)) state.answers[film.item].seconds = seconds;
    // a change of the first of two answers waits for the second one
    const stay = !complete(film) || (was && question === "answer" && findings.length > 0);
    go(state.at + (stay ? 0 : 1));
  }

  function undo() {
    const last = state.undo.pop();
    if (!last) return;
    if (last.before.answer || last.before.finding) state.answers[last.item] = last.before;
    else delete state.answers[last.item];
    go(films.findIndex((film) => film.item === last.item));
  }

  function zoom() {
    const on = $("plate").classList.toggle("zoomed");
    const plate = $("plate");
    plate.scrollTo((plate.scrollWidth - plate.clientWidth) / 2, (plate.scrollHeight - plate.clientHeight) / 2);
    $("zoom").setAttribute("aria-pressed", on);
  }

  function invert() {
    $("invert").setAttribute("aria-pressed", $("film").classList.toggle("inverted"));
  }

  function fileName() {
    return "answers-" + study + (state.reader ? "-" + state.reader : "") + ".csv";
  }

  function csv() {
    const quoted = (value) => (/[",;\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value);
    const line = (values) => values.map((value) => quoted(String(value ?? ""))).join(",") + "\r\n";
    const rows = films.filter((film) => given(film).answer || given(film).finding).map((film) => {
      const { answer, finding, seconds, at } = given(film);
      return line([study, state.reader, film.item, answer, finding, seconds, at]);
    });
    return line(["study", "reader", "item", "answer", "finding", "seconds", "answered_at"]) + rows.join("");
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
      $("film").src = "data:image/png;base64," + film.png;
      $("film").alt = "Chest film " + (state.at + 1);
      $("film").dataset.item = film.item;
      $("plate").classList.remove("zoomed");
      $("zoom").setAttribute("aria-pressed", false);
      shown = performance.now();
    }
    for (const button of document.querySelectorAll("[data-answer]"))
      button.setAttribute("aria-pressed", button.dataset.answer === given(film).answer);
    for (const button of document.querySelectorAll("[data-finding]"))
      button.setAttribute("aria-pressed", button.dataset.finding === given(film).finding);
    $("back").disabled = state.at === 0;
    $("undo").disabled = !state.undo.length;
  }

  function showEnd() {
    const left = films.length - done();
    $("counter").textContent = done() + " of " + films.length + " answered";
    $("verdict").textContent = left ? "Not all films have an answer" : "All films are answered. Thank you.";
    $("left").textContent = left ? left + (left === 1 ? " film has" : " films have") + " no complete answer yet." : "";
    $("missing").hidden = !left;
    $("save").classList.toggle("main", !left);
    $("file").textContent = fileName();
    sure = false;
    $("fresh").textContent = "Erase and begin as another reader";
  }

  // ------------------------------------------------------------------------------------------------ wiring

  const choices = {};
  findings.forEach((finding, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.finding = finding;
    button.textContent = finding.replaceAll("_", " ");
    if (index < KEYS.length) {
      const key = document.createElement("kbd");
      key.textContent = KEYS[index].toUpperCase();
      button.append(key);
      choices[KEYS[index]] = finding;
    }
    $("findings").append(button);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (event.detail) button.blur(); // a click leaves no focus: the next Enter or Space must not answer a film
    if (button.dataset.answer) give("answer", button.dataset.answer);
    else if (button.dataset.finding) give("finding", button.dataset.finding);
    else
      ({
        begin, undo, zoom, invert, fresh, export: exportAnswers, save: exportAnswers,
        back: () => go(state.at - 1), next: () => go(state.at + 1), review: () => go(films.length - 1),
        missing: () => go(films.findIndex((film) => !complete(film))),
      })[button.id]();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return; // a key held down is one answer
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!state.begun) {
      if (key === "Enter" && event.target.id === "reader") begin();
      return;
    }
    if (key === "e" && !$("export").disabled) exportAnswers();
    else if (key === "ArrowLeft" || key === "Backspace") go(state.at - 1);
    else if (state.at >= films.length) return;
    else if (key === "ArrowRight") go(state.at + 1);
    else if (ACTIONS[key]) ACTIONS[key]();
    else if (choices[key]) give("finding", choices[key]);
    else return;
    event.preventDefault();
  });

  window.addEventListener("storage", (event) => {
    if (event.key === place) { // the same study in another tab: its answers are these answers
      state = load();
      show();
    }
  });

  show();
})();
