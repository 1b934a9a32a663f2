// Sliders count once they were touched, an answer once everything was heard; it is sent once.
(() => {
  const form = document.querySelector("form.question");
  if (!form) return;
  const players = [...form.querySelectorAll("video, audio")];
  const next = form.querySelector("button[type=submit]");
  const said = form.querySelectorAll("[data-heard]");
  const sliders = [...form.querySelectorAll(".slider")];
  const answered = "answered" in form.dataset; // changing an answer asks for no second hearing
  const began = performance.now();
  const stacked = form.querySelector(".stack");
  let sent = false;

  const done = players.map(() => answered);
  const chosen = () => [...form.querySelectorAll("input[type=radio]")].map((one) => one.name)
    .every((name) => form.elements[name].value);
  function paint() {
    players.forEach((player, i) => {
      done[i] = done[i] || played[i]();
      if (said[i]) said[i].textContent = done[i] ? "" : "not played yet";
    });
    next.disabled = sent || !done.every(Boolean) || !sliders.every((one) => "given" in one.dataset) || !chosen();
  }
  const played = players.map((player) => heardEnough(player, paint));
  for (const player of players) player.addEventListener("error", () => { form.querySelector(".trouble").hidden = false; });

  for (const slider of sliders) {
    const input = slider.querySelector("input");
    const levels = slider.closest(".dimension").querySelectorAll("[data-level]");
    const show = () => {
      slider.querySelector("output").textContent = Number(input.value).toFixed(1);
      const now = Math.min(4, Math.floor(Number(input.value)));
      for (const level of levels) level.classList.toggle("now", Number(level.dataset.level) === now);
    };
    const given = () => { slider.dataset.given = ""; show(); paint(); };
    input.addEventListener("input", given);
    input.addEventListener("click", given); // where it stands is an answer, too
    if ("given" in slider.dataset) show();
  }
  for (const one of form.querySelectorAll(".criteria")) one.open = innerWidth > 900;

  const track = stacked ? soundtracks() : twoOrOne();

  // One or two players with controls of their own: one plays at a time.
  function twoOrOne() {
    let last = players[0];
    for (const player of players) player.addEventListener("play", () => {
      last = player;
      players.forEach((other) => other !== player && other.pause());
    });
    const toggle = (player) => player && (player.paused ? player.play().catch(() => {}) : player.pause());
    return {
      toggle: () => toggle(last),
      choose: (i) => toggle(players[i]),
      repeat: () => { last.currentTime = 0; last.play().catch(() => {}); },
    };
  }

  // All players run together, one is seen and heard: switching neither stops the video nor takes it out of sync.
  function soundtracks() {
    const button = stacked.querySelector("[data-play]");
    const seek = stacked.querySelector(".seek");
    const clock = stacked.querySelector(".clock");
    const apart = 0.12; // seconds that a hidden player may be ahead or behind
    let on = 0;
    let playing = false;
    const whole = () => Math.min(...players.map((player) => player.duration || Infinity));
    function show() {
      players.forEach((player, i) => {
        player.muted = i !== on;
        player.toggleAttribute("data-off", i !== on);
      });
      for (const box of form.querySelectorAll(".track")) box.toggleAttribute("data-on", Number(box.dataset.track) === on);
      button.textContent = playing ? "❚❚" : "▶";
    }
    function align() {
      const at = players[on].currentTime;
      for (const player of players)
        if (player !== players[on] && !player.seeking && Math.abs(player.currentTime - at) > apart) player.currentTime = at;
    }
    function run() {
      const at = players[on].currentTime;
      seek.value = Number.isFinite(whole()) ? (1000 * at) / whole() : 0;
      clock.textContent = `${Math.floor(at / 60)}:${String(Math.floor(at % 60)).padStart(2, "0")}`;
      if (playing) requestAnimationFrame(run);
    }
    function stop() {
      playing = false;
      players.forEach((player) => player.pause());
      show();
    }
    function start() {
      if (players[on].ended || players[on].currentTime >= whole() - 0.05) players.forEach((player) => { player.currentTime = 0; });
      playing = true;
      show();
      align();
      players.forEach((player) => player.play().catch(() => {}));
      requestAnimationFrame(run);
    }
    function choose(i) {
      if (!players[i]) return;
      const at = players[on].currentTime;
      on = i;
      if (Math.abs(players[i].currentTime - at) > apart) players[i].currentTime = at;
      if (playing) show(); else start();
    }
    players.forEach((player, i) => {
      player.addEventListener("timeupdate", () => i === on && playing && align());
      player.addEventListener("ended", () => i === on && playing && start()); // from the beginning
    });
    button.addEventListener("click", () => (playing ? stop() : start()));
    seek.addEventListener("input", () => {
      for (const player of players) player.currentTime = (seek.value / 1000) * whole();
      if (!playing) run();
    });
    for (const one of form.querySelectorAll("[data-listen]")) one.addEventListener("click", () => choose(Number(one.dataset.listen)));
    show();
    return {
      toggle: () => (playing ? stop() : start()),
      choose,
      repeat: () => { players.forEach((player) => { player.currentTime = 0; }); start(); },
    };
  }

  form.querySelector("[data-repeat]")?.addEventListener("click", () => track.repeat());
  form.addEventListener("change", paint);
  form.addEventListener("submit", (event) => {
    if (sent || next.disabled) { event.preventDefault(); return; }
    sent = true;
    form.elements.seconds.value = ((performance.now() - began) / 1000).toFixed(1);
    setTimeout(paint, 0);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const within = event.target.closest?.("video, audio, button, summary, a, input[type=radio]");
    const votes = form.querySelectorAll("[name^='vote.']");
    const vote = { ArrowLeft: "first", ArrowDown: "tie", ArrowRight: "second" }[event.key];
    if (/^[1-9]$/.test(event.key) && players.length > 1) track.choose(Number(event.key) - 1);
    else if (event.key === " " && !within) track.toggle();
    else if (event.key === "r" || event.key === "R") track.repeat();
    else if (vote && votes.length === 3 && !event.target.closest?.("video, audio")) {
      form.querySelector(`[name^="vote."][value="${vote}"]`).checked = true;
      paint();
    } else if (event.key === "Enter" && !event.target.closest?.("button, summary, a") && !next.disabled) form.requestSubmit();
    else return;
    event.preventDefault();
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  paint();
})();
