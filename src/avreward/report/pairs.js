"use strict";
// Draws one page of pairs at a time. Names and prompts are set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const field = (name) => document.getElementById(name);
  const PER_PAGE = 20;
  const [NAME, URL, KIND, POSTER, PROBLEM, PROMPT, SCORES] = [0, 1, 2, 3, 4, 5, 6];
  const [CHOSEN, REJECTED, GROUP, MARGIN, CONFLICTS, TEST] = [0, 1, 2, 3, 4, 5];
  const list = field("list");
  let found = [];
  let page = 1;
  let current = null;

  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const shown = (value) => (value === null ? "–" : String(Number(value.toPrecision(4))).replace("-", "−"));
  const counted = (n) => n.toLocaleString("en");

  function matching(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return () => true;
    const tests = words.map((word) => {
      const has = (texts) => texts.map((one) => one.toLowerCase().includes(word));
      const groups = has(data.groups);
      const prompts = has(data.prompts);
      const clips = data.clips.map((clip) => clip[NAME].toLowerCase().includes(word) || Boolean(prompts[clip[PROMPT]]));
      return (pair) => groups[pair[GROUP]] || clips[pair[CHOSEN]] || clips[pair[REJECTED]];
    });
    return (pair) => tests.every((test) => test(pair));
  }
  function find() {
    const number = (name, other) => (field(name).value === "" || !field(name).validity.valid ? other : Number(field(name).value));
    const [low, high] = [number("low", -Infinity), number("high", Infinity)];
    const split = field("split") ? field("split").value : "";
    const torn = field("torn") && field("torn").checked;
    const fits = matching(field("search").value);
    found = data.pairs.filter((pair) => pair[MARGIN] >= low && pair[MARGIN] <= high
      && (split === "" || pair[TEST] === Number(split)) && (!torn || pair[CONFLICTS].length) && fits(pair));
    const way = { widest: -1, narrowest: 1 }[field("order").value];
    if (way) found = found.slice().sort((a, b) => way * (a[MARGIN] - b[MARGIN]));
    show(1);
  }

  function load(player) {
    if (player.getAttribute("src")) return;
    player.src = player.dataset.src;
    player.preload = "metadata";
  }
  const near = new IntersectionObserver(
    (entries) => entries.forEach((entry) => entry.isIntersecting && load(entry.target)), { rootMargin: "200px" });

  function playerOf(clip, label) {
    const player = make(clip[KIND]);
    player.controls = true;
    player.playsInline = true;
    player.preload = "none";
    player.dataset.src = clip[POSTER] || clip[KIND] === "audio" ? clip[URL] : `${clip[URL]}#t=0.001`;
    if (clip[POSTER]) player.poster = clip[POSTER];
    player.setAttribute("aria-label", `${label}: ${clip[NAME]}`);
    player.addEventListener("play", () => {
      if (current && current !== player) current.pause();
      current = player;
      player.closest(".one").classList.add("playing");
    });
    player.addEventListener("pause", () => player.closest(".one").classList.remove("playing"));
    player.addEventListener("error", () => {
      const text = "This browser can't play the file. If the page was moved, move its media, too.";
      player.after(make("p", text, "unplayable"));
    }, { once: true });
    near.observe(player);
    return player;
  }
  function side(clip, label) {
    const one = make("div", undefined, `one ${label}`);
    const stage = make("div", undefined, "stage");
    stage.append(clip[PROBLEM] ? make("p", clip[PROBLEM], "unplayable") : playerOf(clip, label));
    const line = make("p");
    const name = make("span", clip[NAME].slice(data.folder.length));
    name.title = clip[NAME];
    line.append(make("b", label), name);
    one.append(stage, line);
    return one;
  }
  function draw(pair, place) {
    const [chosen, rejected] = [data.clips[pair[CHOSEN]], data.clips[pair[REJECTED]]];
    const box = make("article", undefined, "pair");
    const head = make("h3", data.groups[pair[GROUP]]);
    const parts = [`margin ${shown(pair[MARGIN])}`, ...(pair[TEST] ? ["for testing"] : []), `no. ${counted(place)}`];
    head.append(make("span", parts.join(" · "), "at"));
    box.append(head);
    const prompt = chosen[PROMPT] === rejected[PROMPT] ? data.prompts[chosen[PROMPT]] : undefined;
    if (prompt && prompt !== data.groups[pair[GROUP]]) box.append(make("p", prompt));
    const both = make("div", undefined, "both");
    both.append(side(chosen, "chosen"), side(rejected, "rejected"));
    const table = make("table");
    const body = make("tbody");
    data.scores.forEach((name, i) => {
      if (chosen[SCORES][i] === rejected[SCORES][i]) return; // what is equal tells nothing
      const row = make("tr");
      const worse = pair[CONFLICTS].some((number) => data.dimensions[number] === name);
      row.append(make("th", name), make("td", shown(chosen[SCORES][i]), worse ? "worse" : ""), make("td", shown(rejected[SCORES][i])));
      row.firstChild.scope = "row";
      body.append(row);
    });
    table.append(body);
    box.append(both, table);
    return box;
  }
  function show(wanted) {
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    page = Math.min(pages, Math.max(1, Math.round(wanted) || 1));
    near.disconnect();
    for (const player of list.querySelectorAll("video, audio")) { player.removeAttribute("src"); player.load(); }
    current = null;
    const first = (page - 1) * PER_PAGE;
    list.replaceChildren(...found.slice(first, first + PER_PAGE).map((pair, i) => draw(pair, first + i + 1)));
    field("page").value = page;
    field("page").max = pages;
    field("pages").textContent = `of ${counted(pages)}`;
    field("count").textContent = found.length === data.pairs.length ? "" : `${counted(found.length)} of ${counted(data.pairs.length)} pairs`;
    field("nothing").hidden = found.length > 0;
    document.querySelector("[data-go='-1']").disabled = page <= 1;
    document.querySelector("[data-go='1']").disabled = page >= pages;
  }
  function go(wanted) {
    show(wanted);
    const top = document.querySelector(".pager").getBoundingClientRect().top + scrollY;
    if (scrollY > top) scrollTo({ top, behavior: "instant" });
  }

  let waiting = 0;
  for (const name of ["search", "low", "high"])
    field(name).addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 150); });
  for (const name of ["order", "split", "torn"]) field(name)?.addEventListener("change", find);
  field("page").addEventListener("change", () => go(Number(field("page").value)));
  for (const button of document.querySelectorAll("[data-go]"))
    button.addEventListener("click", () => go(page + Number(button.dataset.go)));
  document.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, video, audio")) return;
    go(page + way);
    event.preventDefault();
  });
  find();
})();
