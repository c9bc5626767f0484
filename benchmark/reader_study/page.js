// Real or synthetic, and which finding: one answer, or two, a film.
readerStudy((core) => {
  const { $ } = core;
  const { films, findings } = core.data;
  const KEYS = "123456789abcdfghjklmnopqtvwxy"; // of findings; e, i, r, s, u and z mean something else
  const given = (film) => core.state.answers[film.item] || {};
  const complete = (film) => Boolean(given(film).answer && (!findings.length || given(film).finding));
  const pressed = (question, value) => {
    for (const button of document.querySelectorAll("[data-" + question + "]"))
      button.setAttribute("aria-pressed", button.dataset[question] === value);
  };

  function give(question, value) {
    const { state } = core;
    const film = core.film();
    const before = { ...given(film) };
    const was = complete(film);
    const seconds = core.seconds(before);
    state.undo = [...state.undo.slice(-199), { item: film.item, before }];
    state.answers[film.item] = { ...before, [question]: value, at: core.now() };
    if (complete(film)) state.answers[film.item].seconds = seconds;
    // a change of the first of two answers waits for the second one
    const stay = !complete(film) || (was && question === "answer" && findings.length > 0);
    core.go(state.at + (stay ? 0 : 1));
  }

  function undo() {
    const { state } = core;
    const last = state.undo.pop();
    if (!last) return;
    if (last.before.answer || last.before.finding) state.answers[last.item] = last.before;
    else delete state.answers[last.item];
    core.go(films.findIndex((film) => film.item === last.item));
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
      choices[KEYS[index]] = () => give("finding", finding);
    }
    $("findings").append(button);
  });

  return {
    empty: { undo: [] },
    sound: (kept) => Array.isArray(kept.undo),
    complete,
    open: "no complete answer yet",
    header: ["answer", "finding", "seconds", "answered_at"],
    rows(film) {
      const { answer, finding, seconds, at } = given(film);
      return answer || finding ? [[answer, finding, seconds, at]] : [];
    },
    reset(film, number) {
      $("film").src = "data:image/png;base64," + film.png;
      $("film").alt = "Chest film " + number;
      $("plate").classList.remove("zoomed");
      $("zoom").setAttribute("aria-pressed", false);
    },
    film(film) {
      pressed("answer", given(film).answer);
      pressed("finding", given(film).finding);
      $("undo").disabled = !core.state.undo.length;
    },
    press({ answer, finding }) {
      if (answer) give("answer", answer);
      else if (finding) give("finding", finding);
      return answer || finding;
    },
    acts: { undo, zoom, invert },
    keys: {
      ...choices, r: () => give("answer", "real"), s: () => give("answer", "synthetic"), u: undo, z: zoom, i: invert,
    },
  };
});
