// Two segmentations of a film, 1 and 2: which is better, of the whole and of every organ, and why.
readerStudy((core) => {
  const { $ } = core;
  const { organs } = core.data;
  let bare = false;
  const given = (film, organ) => (core.state.answers[film.item] || {})[organ] || {};
  const complete = (film) => organs.every(({ organ }) => given(film, organ).choice);

  function keep(organ, what) {
    const { answers } = core.state;
    const film = core.film();
    const before = given(film, organ);
    const now = { ...before, ...what, seconds: core.seconds(before), at: core.now() };
    answers[film.item] = { ...answers[film.item], [organ]: now };
    core.save();
  }

  function give(organ, choice) {
    keep(organ, { choice });
    core.show();
  }

  function next(choice) {
    const open = organs.find(({ organ }) => !given(core.film(), organ).choice);
    if (open) give(open.organ, choice);
  }

  function zoom() {
    $("zoom").setAttribute("aria-pressed", $("plates").classList.toggle("zoomed"));
  }

  function outlines() {
    bare = !bare;
    $("bare").setAttribute("aria-pressed", bare);
    pictures(core.film());
  }

  function pictures(film) {
    for (const name of ["film", "one", "two"]) $(name).src = "data:image/png;base64," + film[bare ? "film" : name];
  }

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

  return {
    empty: {},
    sound: () => true,
    complete,
    open: "open questions",
    header: ["organ", "choice", "comment", "seconds", "answered_at"],
    rows: (film) =>
      organs.filter(({ organ }) => given(film, organ).choice || given(film, organ).comment).map(({ organ }) => {
        const { choice, comment, seconds, at } = given(film, organ);
        // a spreadsheet takes a text that begins so for a formula
        const plain = (comment || "").replace(/\s+/g, " ").trim().replace(/^[=+@-]+/, "");
        return [organ, choice, plain, seconds, at];
      }),
    reset(film, number) {
      bare = false;
      $("bare").setAttribute("aria-pressed", false);
      pictures(film);
      $("film").alt = "Chest film " + number;
      $("one").alt = "Segmentation 1 of film " + number;
      $("two").alt = "Segmentation 2 of film " + number;
      for (const text of document.querySelectorAll("textarea")) text.value = given(film, text.dataset.organ).comment || "";
      $("panel").scrollTop = 0;
    },
    film(film) {
      for (const button of document.querySelectorAll("[data-choice]"))
        button.setAttribute("aria-pressed", button.dataset.choice === given(film, button.dataset.organ).choice);
      $("next").classList.toggle("main", complete(film));
    },
    press({ organ, choice }) {
      if (choice) give(organ, choice);
      return choice;
    },
    acts: { zoom, bare: outlines, figure: zoom },
    keys: { o: outlines, z: zoom, 1: () => next("1"), 2: () => next("2"), 0: () => next("none") },
  };
});
