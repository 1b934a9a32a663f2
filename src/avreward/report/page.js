"use strict";
// One candidate plays at a time; switching keeps the position if "follow" is checked. Media load near the screen.
(() => {
  const cards = [...document.querySelectorAll(".card")];
  const media = (card) => card.querySelector("video, audio");
  const players = cards.map(media).filter(Boolean);
  const follow = document.getElementById("follow");
  const switcher = document.getElementById("switcher");
  const where = document.getElementById("where");
  let current = null;

  const cardOf = (player) => player.closest(".card");
  const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

  function unload(player) {
    if (!player.getAttribute("src") || player === current) return;
    player.dataset.src = player.getAttribute("src");
    player.removeAttribute("src");
    player.preload = "none";
    player.load();
  }
  function load(player) {
    if (player.dataset.src && !player.getAttribute("src")) player.src = player.dataset.src;
    player.preload = "metadata";
  }
  // Browsers limit the number of players, so players far from the screen unload their file.
  const near = new IntersectionObserver((entries) => entries.forEach((e) => e.isIntersecting && load(media(e.target))),
    { rootMargin: "150px" });
  const far = new IntersectionObserver((entries) => entries.forEach((e) => e.isIntersecting || unload(media(e.target))),
    { rootMargin: "3000px" });
  players.forEach((player) => { near.observe(cardOf(player)); far.observe(cardOf(player)); });

  function seek(player, seconds) {
    const go = () => { player.currentTime = Math.min(seconds, player.duration || seconds); };
    if (player.readyState >= 1) go();
    else { player.addEventListener("loadedmetadata", go, { once: true }); load(player); }
  }
  function play(player) {
    load(player);
    player.play().catch(() => {});
    const box = cardOf(player).getBoundingClientRect();
    if (box.top < 0 || box.top > innerHeight * 0.7) cardOf(player).scrollIntoView({ block: "start" });
  }
  function paint() {
    if (!current) return;
    const share = current.duration ? (100 * current.currentTime) / current.duration : 0;
    for (const head of cardOf(current).querySelectorAll(".playhead")) head.style.left = `${share}%`;
    if (where) where.textContent = clock(current.currentTime);
    if (!current.paused) requestAnimationFrame(paint);
  }
  function started(player) {
    const before = current;
    current = player;
    if (before && before !== player) {
      if (!before.paused) before.pause();
      cardOf(before).classList.remove("playing", "paused");
      const ended = before.ended || before.currentTime >= before.duration - 0.05;
      if (follow && follow.checked && !ended) seek(player, before.currentTime);
    }
    cardOf(player).classList.add("playing");
    cardOf(player).classList.remove("paused");
    if (switcher) switcher.hidden = false;
    for (const button of document.querySelectorAll("[data-play]"))
      button.setAttribute("aria-pressed", String(button.dataset.play === cardOf(player).dataset.rank));
    paint();
  }
  players.forEach((player) => {
    player.addEventListener("play", () => started(player));
    player.addEventListener("pause", () => {
      if (player === current) { cardOf(player).classList.remove("playing"); cardOf(player).classList.add("paused"); }
    });
    player.addEventListener("seeked", () => player === current && paint());
    player.addEventListener("error", () => {
      const text = "This browser can't play the file. If the page was moved, move its media folder too.";
      if (player.getAttribute("src")) player.parentElement.insertAdjacentHTML("beforeend", `<p class="unplayable">${text}</p>`);
    }, { once: true });
    for (const strip of cardOf(player).querySelectorAll(".strip")) strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const go = () => { started(player); player.currentTime = share * player.duration; play(player); };
      if (player.readyState >= 1) go();
      else { player.addEventListener("loadedmetadata", go, { once: true }); load(player); }
    });
  });

  const playable = (rank) => { const card = document.getElementById(`c${rank}`); return card && media(card); };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (button) play(playable(button.dataset.play));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const at = players.indexOf(current);
    if (/^[1-9]$/.test(event.key) && playable(event.key)) play(playable(event.key));
    else if (event.key === "n" && players.length) play(players[(at + 1) % players.length]);
    else if (event.key === "p" && players.length) play(players[(Math.max(at, 0) - 1 + players.length) % players.length]);
    else if (event.key === "k" && current) current.paused ? play(current) : current.pause();
    else return;
    event.preventDefault();
  });
})();
